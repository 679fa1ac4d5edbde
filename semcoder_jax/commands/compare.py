"""Compares two results of evaluations, task by task, and prints the differences with intervals.

    python -m semcoder_jax.evaluate compare A.json B.json [--json=FILE]

A and B are result.json of two workdirs, of one benchmark or of a suite. Only tasks, variants and
modes that both have are compared. --json=FILE also writes the table there.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from data_pipeline.files import check_output, path_text, write_json
from data_pipeline.terminal.command_line import CommandLineError, CommandParser, run_command

_COMPARISON = b'{\n "a": '  # as write_json begins it


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 2 user error, 130 interrupted."""
    return run_command(compare_files, argv, help_text=__doc__)


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m semcoder_jax.evaluate compare", description=__doc__)
    parser.add_argument(
        "results", nargs="*", type=path_text, metavar="RESULT.json", help="two results"
    )
    parser.add_argument("--json", type=path_text, metavar="FILE", help="file for the table")
    return parser


def compare_files(arguments: Sequence[str]) -> None:
    options = make_parser().parse_args(arguments)
    paths, output = options.results, options.json
    if len(paths) != 2:
        raise CommandLineError(f"command line: compare takes two result files, got {len(paths)}")
    from semcoder_jax.evaluation.comparison import compare_runs  # JAX starts here
    from semcoder_jax.evaluation.report import comparison_table
    from semcoder_jax.evaluation.results import read_runs

    check_output("--json", output, lambda begin: begin.startswith(_COMPARISON))
    found = compare_runs(read_runs(paths[0]), read_runs(paths[1]))
    print(f"A  {paths[0]}\nB  {paths[1]}\n\n{comparison_table(found)}")
    if output is not None:
        rows = [
            {"benchmark": key[0], "variant": key[1], "mode": key[2], **dataclasses.asdict(result)}
            for key, result in found
        ]
        content: dict[str, Any] = {"a": paths[0], "b": paths[1], "comparisons": rows}
        write_json(output, content, indent=1)
