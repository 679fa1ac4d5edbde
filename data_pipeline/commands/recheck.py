"""A sample of a built dataset held against new runs, by the records' text alone.

    python -m data_pipeline.build.recheck DIR [--sample=1000] [--hash_seed=N]

Programs, calls and values are read out of prompts and responses and run in processes of their own
under another hash seed than the build's; the steps of forward monologues are verified once more
against new traces.
"""

import secrets
from collections.abc import Sequence

from data_pipeline.builder.recheck import recheck, summary
from data_pipeline.terminal.command_line import CommandLineError, CommandParser, run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all hold, 1 some do not, 2 the user's mistake."""
    return run_command(_run, argv)


def _run(arguments: Sequence[str]) -> int:
    parser = CommandParser(prog="python -m data_pipeline.build.recheck", description=__doc__)
    parser.add_argument("directory", metavar="DIR", help="the --output of a build")
    parser.add_argument("--sample", type=int, default=1000, help="records, fewer if there are")
    parser.add_argument("--hash_seed", type=int, help="of the interpreters; another each time")
    args = parser.parse_args(arguments)
    if args.sample < 1:
        raise CommandLineError(f"--sample: expected at least 1; got {args.sample}")
    # Not the build's own: those are 0 and that of the second sandbox.
    seed = 1 + secrets.randbelow(2**31) if args.hash_seed is None else args.hash_seed
    found = recheck(args.directory, sample=args.sample, hash_seed=seed)
    print(summary(found))
    print(f"hash seed {seed}")
    return int(found.refuted.total() > 0)
