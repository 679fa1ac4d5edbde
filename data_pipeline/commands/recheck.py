"""A sample of a built dataset held against new runs, by the records' text alone.

    python -m data_pipeline.build.recheck DIR [--sample=1000] [--hash_seed=N]

Programs, calls and values are read out of prompts and responses and run in processes of their own
under another hash seed than the build's; the steps of forward monologues are verified once more
against new traces.
"""

import argparse
import secrets
import sys
from collections.abc import Sequence
from typing import NoReturn

from data_pipeline.builder.options import BuildError
from data_pipeline.builder.recheck import recheck, summary
from data_pipeline.execution.service import SandboxUnavailable
from data_pipeline.pyx.dataset import PyxError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BuildError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 0 all hold, 1 some do not, 2 the user's mistake."""
    parser = _Parser(
        prog="python -m data_pipeline.build.recheck",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("directory", metavar="DIR", help="the --output of a build")
    parser.add_argument("--sample", type=int, default=1000, help="records, fewer if there are")
    parser.add_argument("--hash_seed", type=int, help="of the interpreters; another each time")
    try:
        args = parser.parse_args(argv)
        if args.sample < 1:
            raise BuildError(f"--sample: expected at least 1; got {args.sample}")
        # Not the build's own: those are 0 and that of the second sandbox.
        seed = 1 + secrets.randbelow(2**31) if args.hash_seed is None else args.hash_seed
        found = recheck(args.directory, sample=args.sample, hash_seed=seed)
    except (BuildError, PyxError, SandboxUnavailable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(summary(found))
    print(f"hash seed {seed}")
    return int(found.refuted.total() > 0)
