"""Measures the cost of tracing: python benchmarks/tracing.py [--turns=N] [--repeats=N].

Runs a loop of about 1,000 executed lines over five locals (and one that grows a list): without
tracing, with this project's recorder, with the recorder and the conversion of its recording to
events, and with pysnooper, which writes uncut values to memory. Reports CPU seconds of this process
per executed line, the best of several repeats.
"""

import argparse
import io
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_pipeline.tracing import trace_call
from data_pipeline.tracing.markers import compile_with_markers
from data_pipeline.tracing.reading import Reader
from data_pipeline.tracing.recorder import Recording, record

LOOPS = {
    "five locals": """
def f(n):
    total = 0
    name = "value"
    items = [1, 2, 3]
    i = 0
    while i < n:
        i += 1
        total = total + i * 2
        if total > 1000:
            total -= 1000
    return total
""",
    "a growing list": """
def f(n):
    out = []
    for i in range(n):
        if i % 3 == 0:
            out.append(i)
    return len(out)
""",
    "an instance": """
class Counter:
    def __init__(self):
        self.n = 0

def f(n):
    c = Counter()
    for i in range(n):
        c.n += i
    return c.n
""",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=250)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}; CPU µs per executed line")
    print(f"{'loop':<16} {'lines':>6} {'plain':>7} {'record':>7} {'+ read':>7} {'pysnooper':>10}")
    for name, source in LOOPS.items():
        print(_row(name, source, options.turns, options.repeats), flush=True)
    short = _best(lambda: trace_call(LOOPS["five locals"], "f(3)"), 50)
    print(f"one short trace (f(3), compiled before): {1e6 * short:.0f} µs")


def _row(name: str, source: str, turns: int, repeats: int) -> str:
    program = compile_with_markers(source)
    plain: dict = {}
    exec(source, plain)
    marked: dict = {}
    exec(program.code, marked)
    last: list[Recording] = []

    def record_once() -> None:
        last[:] = [Recording()]
        record(
            program,
            lambda: marked["f"](turns),
            last[0],
            max_lines=10**7,
            max_bytes=1 << 30,
            limit=1000,
        )

    record_seconds = _best(record_once, repeats)
    lines = sum(1 for note in last[0].records if note[2] is not None and len(note) == 3)
    read_seconds = _best(lambda: Reader(program, last[0], 1000).read(), repeats)
    plain_seconds = _best(lambda: plain["f"](turns), repeats)
    cells = [plain_seconds, record_seconds, record_seconds + read_seconds]
    snooped = _pysnooper(source, turns, repeats)
    told = "".join(f" {1e6 * cell / lines:>7.2f}" for cell in cells)
    other = "not here" if snooped is None else f"{1e6 * snooped / lines:.2f}"
    return f"{name:<16} {lines:>6}{told} {other:>10}"


def _pysnooper(source: str, turns: int, repeats: int) -> float | None:
    try:
        import pysnooper
    except ImportError:
        return None
    file = Path(__file__).with_name("_snooped.py")
    namespace: dict = {}
    # pysnooper finds the source lines by the module's name.
    exec(compile(source, str(file), "exec"), namespace)
    traced = pysnooper.snoop(io.StringIO(), max_variable_length=None)(namespace["f"])
    return _best(lambda: traced(turns), max(repeats // 2, 1))


def _best(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
