"""Measures the data build on real source: CPU time a record, records/s, and whether records hold.

    python benchmarks/build.py [--source=PACKAGE ...] [--each] [--output=DIR] [--workers=2]
                               [--limit=N] [--recheck=1000] [--benchmarks=DIR] [--tokenizer=DIR]

Sources by default: more-itertools, toolz, boltons, sympy.ntheory and pure modules of the standard
library, in one build; with `--each`, a build and a row of the table for each source. CPU time is
that of all processes from the start of the command to its end, the sandbox's included, and says
more than records/s where the machine is busy. There is no peer: the release has no generator.
`--recheck` runs a sample of the records again in fresh processes under another hash seed.
"""

import argparse
import contextlib
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.builder import Report
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
TARGET = 40  # verified records a second on two cores
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Cost:
    """A finished build. cpu, wall: seconds of all its processes, and of the command."""

    report: Report
    cpu: float
    wall: float


def measure(flags: Sequence[str], output: Path) -> Cost:
    """Runs the command that builds. Raises CalledProcessError."""
    before, started = cpu_of_children(), time.monotonic()
    command = [sys.executable, "-m", "data_pipeline.build", f"--output={output}", *flags]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.monotonic() - started
    report = Report.from_json((output / "report.json").read_text())
    return Cost(report, cpu_of_children() - before, wall)


def cpu_of_children() -> float:
    """Waits for all processes of the command, also those that its own left; returns their time."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(costs: Sequence[tuple[str, Cost]]) -> str:
    rows = [
        (
            name,
            cost.report.tally.get("functions")["found"],
            cost.report.records,
            1000 * cost.cpu / max(1, cost.report.records),
            cost.report.records / cost.wall,
            f"{cost.report.records / cost.wall / TARGET:.2f} ×",
        )
        for name, cost in costs
    ]
    titles = ("source", "functions", "records", "CPU ms a record", "records/s", f"of {TARGET}/s")
    return format_table(titles, rows)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", action="append", help="in place of the default sources")
    parser.add_argument("--each", action="store_true", help="a build for each source")
    parser.add_argument("--output", help="a new folder; a temporary one by default")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int, help="most functions of a build")
    parser.add_argument("--benchmarks", action="append", default=[])
    parser.add_argument("--tokenizer")
    parser.add_argument("--recheck", type=int, default=1000, help="records of a build; 0: none")
    args = parser.parse_args(argv)
    flags = [f"--workers={args.workers}", *(f"--benchmarks={one}" for one in args.benchmarks)]
    flags += [f"--{name}={value}" for name, value in (("limit", args.limit),
              ("tokenizer", args.tokenizer)) if value is not None]  # fmt: skip
    sources = args.source or SOURCES
    builds = [(one, one) for one in sources] if args.each else [("all", ",".join(sources))]
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wrong, costs = 0, []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.output or Path(temporary) / "build")
        if folder.exists():
            parser.error(f"--output: {folder} is there; a build that is kept measures nothing")
        for name, source in builds:
            output = folder / name if args.each else folder
            costs.append((name, measure([f"--source={source}", *flags], output)))
            print(f"\n{name}\n\n{summary(costs[-1][1].report)}\n", flush=True)
            if args.recheck:
                command = [sys.executable, "-m", "data_pipeline.build.recheck", str(output)]
                command.append(f"--sample={args.recheck}")
                wrong |= subprocess.run(command, check=False).returncode
    print(f"\n{table(costs)}\n", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
