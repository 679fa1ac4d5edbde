"""Measures the data build on real source: functions/s, records/s, and whether the records hold.

    python benchmarks/build.py [--output=DIR] [--workers=2] [--limit=N] [--recheck=1000]
                               [--source=PACKAGE ...] [--benchmarks=DIR] [--tokenizer=DIR]

Sources by default: more-itertools, toolz, boltons, sympy.ntheory and pure modules of the standard
library. Rates are compared with the target of 5,000 verified records in 10 minutes, because no
other generator of such data is available (the release has none). `--recheck` runs a sample of the
records again in fresh processes under another hash seed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from data_pipeline.builder import BuildOptions, Report, build
from data_pipeline.builder.report import summary
from data_pipeline.terminal.tables import format_table

STANDARD_LIBRARY = (
    "base64", "bisect", "calendar", "cmd", "colorsys", "copy", "csv", "datetime", "difflib",
    "fnmatch", "fractions", "functools", "getopt", "gettext", "graphlib", "heapq", "html",
    "imghdr", "ipaddress", "keyword", "locale", "mimetypes", "numbers", "operator", "opcode",
    "pprint", "quopri", "random", "re", "reprlib", "sched", "shlex", "sndhdr", "statistics",
    "string", "stringprep", "textwrap", "token", "tokenize", "turtle", "types", "urllib", "uu",
    "xdrlib", "email", "encodings", "json", "collections", "idlelib", "lib2to3",
)  # fmt: skip
SOURCES = ("more_itertools", "toolz", "boltons", "sympy.ntheory", *STANDARD_LIBRARY)
TARGET = 5000 / 600  # verified records a second


def measure(options: BuildOptions, output: str) -> tuple[Report, float]:
    """Returns (report, wall seconds)."""
    started = time.monotonic()
    report = build(options, output)
    return report, time.monotonic() - started


def rates(report: Report, wall: float) -> str:
    """Returns a table of each rate, and of records/s as a ratio to the target."""
    functions = report.tally.get("functions")["found"]
    rows = [
        ("functions", functions, functions / wall, ""),
        (
            "records",
            report.records,
            report.records / wall,
            f"{report.records / wall / TARGET:.2f} ×",
        ),
        ("target: records", 5000, TARGET, "1.00 ×"),
    ]
    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report.seconds.items())
    told = format_table(("verified", "number", "per second", "against target"), rows)
    return f"{told}\n\nwall time {wall:.1f} s ({stages})"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", action="append", help="in place of the default sources")
    parser.add_argument("--output", help="a new folder; a temporary one by default")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int, help="most functions")
    parser.add_argument("--benchmarks", action="append", default=[])
    parser.add_argument("--tokenizer")
    parser.add_argument("--recheck", type=int, default=1000, help="records; 0: none")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        output = args.output or str(Path(temporary) / "build")
        if Path(output).exists():
            parser.error(f"--output: {output} is there; a build that is kept measures nothing")
        options = BuildOptions(
            sources=tuple(args.source or SOURCES),
            limit=args.limit,
            workers=args.workers,
            benchmarks=tuple(args.benchmarks),
            tokenizer=args.tokenizer,
        )
        report, wall = measure(options, output)
        print(f"\n{summary(report)}\n\n{rates(report, wall)}\n", flush=True)
        if not args.recheck:
            return 0
        command = [sys.executable, "-m", "data_pipeline.build.recheck", output]
        return subprocess.run([*command, f"--sample={args.recheck}"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
