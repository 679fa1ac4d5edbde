"""Measures isolated execution: python benchmarks/execution.py [--runs=N] [--workers=2].

Runs one small program N times in each way, always with the same number of workers: a fresh
`python -I -S` per program, the same inside bubblewrap, `multiprocessing` (forkserver, one process
per program), and the service in every tier available here, with and without a trace.
Only the service isolates, limits and types its results; the others just run the code. CPU is user
and system time per run, over all processes of the way. Measure on a quiet machine.
"""

import argparse
import functools
import multiprocessing
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rounds import describe_machine
from data_pipeline.execution import oracles
from data_pipeline.execution.service import Sandbox, SandboxUnavailable, TraceLimits, call_job
from data_pipeline.execution.tiers import SYSTEM_FOLDERS, find_interpreter

PROGRAM = """
def f(words):
    counts = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
"""
CALL = "f(['to', 'be', 'or', 'not', 'to', 'be'])"
ANSWER = [("be", 2), ("to", 2), ("not", 1), ("or", 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(describe_machine(options.workers, "figures are too low"))
    print(f"{'way':<44} {'runs':>6} {'CPU ms/run':>11} {'runs/s':>8}")
    for name, way, share in _ways(options.workers):
        runs = max(int(options.runs * share), 2 * options.workers)
        try:
            cpu, wall = way(runs)
        except SandboxUnavailable as error:
            print(f"{name:<44} {'not here: ' + str(error)[:60]}")
            continue
        print(f"{name:<44} {runs:>6} {1000 * cpu / runs:>11.2f} {runs / wall:>8.0f}", flush=True)


Way = Callable[[int], tuple[float, float]]  # number of runs -> (CPU seconds, wall seconds)


def _ways(workers: int) -> list[tuple[str, Way, float]]:
    ways: list[tuple[str, Way, float]] = [
        ("fresh python -I -S per program", functools.partial(_fresh, workers, False), 0.25),
    ]
    if shutil.which("bwrap"):
        ways.append(
            ("fresh python -I -S in bubblewrap", functools.partial(_fresh, workers, True), 0.25)
        )
    ways.append(("multiprocessing, forkserver", functools.partial(_forkserver, workers), 0.5))
    for tier in ("A", "B", "C"):
        for name, kind, share in (
            ("fork per sample", "map", 2),
            ("fork per sample, traced", "trace", 1),
        ):
            ways.append(
                (f"tier {tier}: {name}", functools.partial(_service, workers, tier, kind), share)
            )
    return ways


def _cpu() -> float:
    """Returns the CPU seconds of this process, its living descendants and those it has reaped."""
    own = psutil.Process()
    total = 0.0
    for process in [own, *own.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _measure(work: Callable[[], object]) -> tuple[float, float]:
    """Returns (CPU seconds, wall seconds) of `work`."""
    before, start = _cpu(), time.perf_counter()
    work()
    wall = time.perf_counter() - start
    return _cpu() - before, wall


def _fresh(workers: int, inside: bool, runs: int) -> tuple[float, float]:
    python = find_interpreter(None)
    argv = [python.executable, "-I", "-S", "-c", PROGRAM + f"\nprint({CALL})\n"]
    if inside:
        box = ["bwrap", "--unshare-all", "--unshare-user", "--as-pid-1", "--cap-drop", "ALL"]
        box.append("--clearenv")
        for folder in dict.fromkeys([*SYSTEM_FOLDERS, python.prefix]):
            box += ["--ro-bind-try", folder, folder]
        argv = [*box, "--", *argv]

    def one(_: int) -> None:
        assert eval(subprocess.run(argv, capture_output=True, check=True).stdout) == ANSWER

    with ThreadPoolExecutor(workers) as pool:
        return _measure(lambda: list(pool.map(one, range(runs))))


def _forkserver(workers: int, runs: int) -> tuple[float, float]:
    context = multiprocessing.get_context("forkserver")
    code = f"{PROGRAM}\nassert {CALL} == {ANSWER!r}\n"
    # Without `__file__`, children do not import the main module again.
    sys.modules["__main__"].__dict__.pop("__file__", None)

    def waves(count: int) -> None:
        # From one thread, `workers` at a time: multiprocessing loses exit codes between threads.
        for _ in range(0, count, workers):
            processes = [context.Process(target=exec, args=(code, {})) for _ in range(workers)]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
                assert process.exitcode == 0, process.exitcode

    waves(workers)  # excludes the start of the server from the time
    return _measure(lambda: waves(runs))


def _service(workers: int, tier: str, kind: str, runs: int) -> tuple[float, float]:
    with Sandbox(tier=tier, allow_weak=True, workers=workers) as sandbox:
        job = call_job(PROGRAM, CALL, trace=TraceLimits() if kind == "trace" else None)
        list(sandbox.map([job] * 64))

        def run_batch() -> None:
            for result in sandbox.map([job] * runs):
                assert oracles.is_exact(result, ANSWER), result

        return _measure(run_batch)


if __name__ == "__main__":
    main()
