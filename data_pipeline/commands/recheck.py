"""Runs a sample of a built dataset again and compares the results with the records.

    python -m data_pipeline.build.recheck data/pyx [--sample=1000] [--hash_seed=N]

Reads programs, calls and values from prompts and responses. Each run gets its own process and a
different hash seed than in the build. The steps of forward monologues are verified against new
traces, and traces are compared with a second recorder that shares nothing with the tracer.
"""

import secrets
from collections.abc import Sequence

from data_pipeline.builder.recheck import recheck, summary
from data_pipeline.files import path_flag
from data_pipeline.terminal.command_line import CommandLineError, CommandParser, run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all records hold, 1 some do not, 2 user error."""
    return run_command(_run, argv)


def _run(arguments: Sequence[str]) -> int:
    parser = CommandParser(prog="python -m data_pipeline.build.recheck", description=__doc__)
    parser.add_argument("directory", type=path_flag, metavar="DIR", help="the --output of a build")
    parser.add_argument(
        "--sample", type=int, default=1000, help="most records to run (default: 1000)"
    )
    parser.add_argument(
        "--hash_seed", type=int, help="hash seed of the interpreters (default: random)"
    )
    args = parser.parse_args(arguments)
    if args.sample < 1:
        raise CommandLineError(f"--sample: expected at least 1; got {args.sample}")
    # Excludes hash seed 0, which the build uses.
    seed = 1 + secrets.randbelow(2**31) if args.hash_seed is None else args.hash_seed
    found = recheck(args.directory, sample=args.sample, hash_seed=seed)
    print(summary(found))
    print(f"hash seed {seed}")
    return int(found.refuted.total() > 0)
