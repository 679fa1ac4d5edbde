"""Extracts self-contained functions (seeds) from Python source as JSONL, and counts refusals.

python -m data_pipeline.seeds --source=more_itertools --output=SEEDS.jsonl
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields

from tqdm import tqdm

from data_pipeline.files import (
    check_output,
    check_separate,
    has_fields,
    path_flag,
    path_text,
    write_rows,
)
from data_pipeline.seeds import Refusal, Seed, read_unit, units
from data_pipeline.terminal.command_line import CommandParser, run_command
from data_pipeline.terminal.tables import rank_counts


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 success, 2 bad input."""
    return run_command(_run, argv)


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m data_pipeline.seeds", description=__doc__)
    parser.add_argument(
        "--source",
        required=True,
        type=path_text,
        help="folder, .py, .jsonl[.gz], or name of an installed package",
    )
    parser.add_argument("--output", required=True, type=path_flag, help="JSONL, one row per seed")
    parser.add_argument(
        "--refusals", type=path_flag, help="JSONL, one row per refused function with the reason"
    )
    return parser


def _run(arguments: Sequence[str]) -> None:
    options = _parser().parse_args(arguments)
    check_separate(
        {"--source": options.source, "--output": options.output, "--refusals": options.refusals}
    )
    for flag, path, row in (
        ("--output", options.output, Seed),
        ("--refusals", options.refusals, Refusal),
    ):
        check_output(flag, path, has_fields(*(field.name for field in fields(row))))
    seeds: list[Seed] = []
    refusals: list[Refusal] = []
    for unit in tqdm(units(options.source), desc="source", unit="file", disable=None):
        for found in read_unit(unit):
            if isinstance(found, Refusal):
                refusals.append(found)
            else:
                seeds.append(found)
    write_rows(options.output, map(asdict, seeds))
    if options.refusals is not None:
        write_rows(options.refusals, map(asdict, refusals))
    print(f"{len(seeds):>10,} seeds")
    print(f"{len(refusals):>10,} refused")
    for reason, count in rank_counts(Counter(refusal.reason for refusal in refusals)):
        print(f"{count:>10,}   {reason}")
