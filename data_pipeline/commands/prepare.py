"""Tokenizes records once and writes them to a folder for training.

    python -m data_pipeline.prepare --data=data/pyx --tokenizer=models/1.3b/model \\
        --output=data/tokens

`--data` is the output of data_pipeline.build, with its splits, or JSONL rows of PyX, PyX-R or
instruction data ({"instruction" or "problem", "response" or "solution"}); `--eval` is JSONL of
held-out rows. Repeated flags concatenate the rows. The same command continues a stopped run.
"""

from collections.abc import Sequence

from data_pipeline.files import path_flag
from data_pipeline.terminal.command_line import GOES_ON, CommandParser, run_command
from data_pipeline.tokens.tokenize import SHARD_RECORDS, prepare


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 success, 2 user error, 130 stopped."""
    return run_command(_run, argv, stopped=GOES_ON)


def _run(arguments: Sequence[str]) -> None:
    parser = CommandParser(prog="python -m data_pipeline.prepare", description=__doc__)
    add = parser.add_argument
    add(
        "--data",
        action="append",
        required=True,
        type=path_flag,
        metavar="DIR_OR_JSONL",
        help="training records",
    )
    add(
        "--eval",
        action="append",
        default=[],
        type=path_flag,
        metavar="JSONL",
        help="held-out records",
    )
    add(
        "--tokenizer",
        required=True,
        type=path_flag,
        metavar="DIR",
        help="Hugging Face tokenizer folder",
    )
    add(
        "--output",
        required=True,
        type=path_flag,
        metavar="DIR",
        help="folder for tokens; new or prepared before",
    )
    add("--shard_records", type=int, default=SHARD_RECORDS, metavar="N", help="records per shard")
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
