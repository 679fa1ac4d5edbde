"""Tokenizes records once, for training to read by number.

python -m data_pipeline.prepare --data=DIR_OR_JSONL --tokenizer=DIR --output=DIR

`--data` is a dataset that data_pipeline.builder wrote (its splits are kept), or JSONL: rows of PyX
or PyX-R, or of instruction data ({"instruction" or "problem", "response" or "solution"}); `--eval`
JSONL of held-out rows. Both may be given more than once; the rows follow one another. Stopped at
any moment, the same command goes on with the shard it was at.
"""

from collections.abc import Sequence

from data_pipeline.terminal.command_line import GOES_ON, CommandParser, run_command
from data_pipeline.tokens.tokenize import SHARD_RECORDS, prepare


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 prepared, 2 the user's mistake, 130 stopped."""
    return run_command(_run, argv, stopped=GOES_ON)


def _run(arguments: Sequence[str]) -> None:
    parser = CommandParser(prog="python -m data_pipeline.prepare", description=__doc__)
    parser.add_argument("--data", action="append", required=True, metavar="DIR_OR_JSONL")
    parser.add_argument("--eval", action="append", default=[], metavar="JSONL")
    parser.add_argument("--tokenizer", required=True, metavar="DIR")
    parser.add_argument("--output", required=True, metavar="DIR")
    parser.add_argument("--shard_records", type=int, default=SHARD_RECORDS, metavar="N")
    args = parser.parse_args(arguments)
    manifest = prepare(
        args.data,
        args.tokenizer,
        args.output,
        held_out=args.eval,
        shard_records=args.shard_records,
    )
    for name, split in manifest["splits"].items():
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in split["kinds"].items())
        print(
            f"{args.output}: {name}: {split['records']:,} records ({kinds}), "
            f"{split['tokens']:,} tokens, {len(split['shards'])} shard(s)"
        )
