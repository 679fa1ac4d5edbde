"""Measures scoring.

    python benchmarks/scoring.py --data=DIR --only=humaneval --evalplus=PYTHON [--rounds=3]
    python benchmarks/scoring.py --data=DIR --only=cruxeval [--peer_seconds=120]

Runs two pieces of work, each next to a peer with the same number of workers:

1. The 164 reference solutions of HumanEval+ on all base and additional inputs. Peer: EvalPlus 0.3.1
   (`evalplus.evaluate`) in a separate environment, whose interpreter --evalplus names
   (`python -m venv DIR && DIR/bin/pip install evalplus==0.3.1`; DIR/bin/python). Both sides read
   the data; the first run also computes the expected outputs, later runs find them in the cache.
   Later runs take turns, and the shortest of each side counts. Left out on both sides: the imports;
   on EvalPlus's, the watchdog thread, which sleeps up to 20 s after the last verdict.
2. 800 x 10 answers to CRUXEval-O (the official CodeLlama-7B samples). Peer: our implementation of
   the official scorer's published method, not its code: a fresh process per answer that runs
   `assert output == answer` with a limit of 3 s, and a manager process for its verdict. It judges
   answers in random order until --peer_seconds are over; its time for all is in proportion. The
   last line says for how many of these answers its verdict is not that of `compat`.

DIR is the folder with humanevalplus/ and cruxeval/. --quick uses 12 solutions and 80 x 2 answers.
Times include the start of the workers. "CPU" is user and system time of all processes, which grows
less under load than wall time. Ratios are the peer's time over ours. Measure on a quiet machine.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rounds import describe_machine
from data_pipeline.execution.service import Sandbox
from semcoder_jax.evaluation.benchmarks.cruxeval import CruxEval, read_problems
from semcoder_jax.evaluation.benchmarks.evalplus import EvalPlus, read_tasks
from semcoder_jax.evaluation.harness import Response

HUMANEVAL = "humanevalplus/HumanEvalPlus.jsonl.gz"
CRUXEVAL = "cruxeval/data/cruxeval.jsonl"
SAMPLES = "cruxeval/samples/model_generations"
OFFICIAL_SECONDS = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SEMCODER_SHARED_DATA"))
    parser.add_argument("--evalplus", default=os.environ.get("SEMCODER_EVALPLUS_PYTHON"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=("humaneval", "cruxeval"))
    parser.add_argument("--rounds", type=int, default=3, help="later runs of HumanEval+")
    parser.add_argument("--peer_seconds", type=float, default=120.0, help="for the CRUXEval peer")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.data is None:
        parser.error("--data=DIR: the folder with humanevalplus/ and cruxeval/")
    print(describe_machine(options.workers, "figures mean little"))
    print(f"{'work':<44} {'right':>14} {'seconds':>8} {'ratio':>7} {'CPU':>8} {'ratio':>7}")
    if options.only != "cruxeval":
        with tempfile.TemporaryDirectory() as folder:
            _humaneval(options, Path(folder))
    if options.only != "humaneval":
        _cruxeval(options)


@dataclass(frozen=True)
class Measured:
    """What a piece of work gave, and its wall and CPU seconds."""

    told: str
    wall: float
    cpu: float

    def scale(self, factor: float) -> "Measured":
        return Measured(self.told, self.wall * factor, self.cpu * factor)


def measure(work: Callable[[Callable[[], None]], str]) -> Measured:
    """Measures `work(stop)`; it calls `stop` before it ends processes, whose CPU time would go."""
    used: list[float] = []
    begun, before = time.perf_counter(), cpu_seconds()
    told = work(lambda: used.append(cpu_seconds()))
    after = used[0] if used else cpu_seconds()
    return Measured(told, time.perf_counter() - begun, after - before)


def cpu_seconds() -> float:
    """Returns the CPU time of this process, its children that ended, and its living descendants."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, whose))
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended
            continue
        children.setdefault(int(fields[1]), []).append(int(folder.name))
        ticks[int(folder.name)] = sum(map(int, fields[11:15]))
    waiting = list(children.get(os.getpid(), ()))
    while waiting:
        process = waiting.pop()
        used += ticks[process] / os.sysconf("SC_CLK_TCK")
        waiting += children.get(process, ())
    return used


def _line(name: str, one: Measured, ours: Measured | None = None) -> None:
    wall = f"{one.wall / ours.wall:.2f}x" if ours else ""
    cpu = f"{one.cpu / ours.cpu:.2f}x" if ours else ""
    print(
        f"{name:<44} {one.told:>14} {one.wall:>8.1f} {wall:>7} {one.cpu:>8.1f} {cpu:>7}", flush=True
    )


# ==== HumanEval+


def _humaneval(options: argparse.Namespace, folder: Path) -> None:
    file, limit = options.data / HUMANEVAL, 12 if options.quick else None
    tasks = read_tasks("humaneval", file, limit=limit)

    def ours(stop: Callable[[], None]) -> str:
        benchmark = EvalPlus(
            read_tasks("humaneval", file, limit=limit), "humaneval", cache=folder / "ours"
        )
        said = [Response(t.id, 0, "code", "compat", t.reference, is_answer=True) for t in tasks]
        with Sandbox(workers=options.workers) as sandbox:
            answers = list(benchmark.judge(said, sandbox))
            stop()
        return f"{sum(answer.right for answer in answers[1::2])} of {len(said)}"

    name = f"HumanEval+, {len(tasks)} solutions"
    first = measure(ours)
    _line(f"{name}, first run: sandbox", first)
    if not options.evalplus:
        _line(f"{name}, later runs: sandbox", _shortest(measure(ours) for _ in _rounds(options)))
        print("  EvalPlus: left out; --evalplus=PYTHON names the interpreter that has it")
        return
    data, samples = folder / "data.jsonl", folder / "samples.jsonl"
    with gzip.open(options.data / HUMANEVAL, "rt") as lines:
        data.write_text("".join(line for line, _ in zip(lines, tasks, strict=False)))
    samples.write_text(
        "".join(json.dumps({"task_id": t.id, "solution": t.reference}) + "\n" for t in tasks)
    )
    _line(f"{name}, first run: EvalPlus", _evalplus(options, data, samples, folder), first)
    turns = [(measure(ours), _evalplus(options, data, samples, folder)) for _ in _rounds(options)]
    later = _shortest(mine for mine, _ in turns)
    _line(f"{name}, later runs: sandbox", later)
    _line(f"{name}, later runs: EvalPlus", _shortest(peer for _, peer in turns), later)


def _rounds(options: argparse.Namespace) -> range:
    return range(1 if options.quick else options.rounds)


def _shortest(measured: Iterable[Measured]) -> Measured:
    return min(measured, key=lambda one: one.wall)


_EVALUATE = """
import json, resource, sys, time
from evalplus import evaluate

class NoWatcher:
    def __init__(self, target): pass
    def start(self): pass

evaluate.threading = type("threading", (), {"Thread": NoWatcher})
def cpu():
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)

begun, before = time.perf_counter(), cpu()
evaluate.evaluate("humaneval", samples=sys.argv[1], parallel=int(sys.argv[2]))
with open(sys.argv[3], "w") as file:
    json.dump([time.perf_counter() - begun, cpu() - before], file)
"""


def _evalplus(options: argparse.Namespace, data: Path, samples: Path, folder: Path) -> Measured:
    times = folder / "times.json"
    result = folder / "samples_eval_results.json"
    result.unlink(missing_ok=True)
    done = subprocess.run(
        [options.evalplus, "-c", _EVALUATE, str(samples), str(options.workers), str(times)],
        env={**os.environ, "HUMANEVAL_OVERRIDE_PATH": str(data), "XDG_CACHE_HOME": str(folder)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if not result.is_file():
        sys.exit(f"error: EvalPlus gave no result: {done.stderr.strip()[-500:]}")
    rows = [row for rows in json.loads(result.read_text())["eval"].values() for row in rows]
    right = sum(row["base_status"] == row["plus_status"] == "pass" for row in rows)
    return Measured(f"{right} of {len(rows)}", *json.loads(times.read_text()))


# ==== CRUXEval-O


def _cruxeval(options: argparse.Namespace) -> None:
    problems = read_problems(options.data / CRUXEVAL, limit=80 if options.quick else None)
    (file,) = sorted((options.data / SAMPLES).glob("*output*/generations.json"))
    each = 2 if options.quick else 10
    generations = json.loads(file.read_text())
    texts = [(p, n, t) for p in problems for n, t in enumerate(generations[p.id][:each])]
    benchmark = CruxEval(problems, "output")
    name = f"CRUXEval-O, {len(problems)} x {each} answers"
    measured, verdicts = {}, {}
    for mode in ("compat", "fixed"):
        said = [Response(p.id, n, "direct", mode, t, is_answer=True) for p, n, t in texts]

        def ours(stop: Callable[[], None], said=said, mode=mode) -> str:
            with Sandbox(workers=options.workers) as sandbox:
                verdicts[mode] = [answer.right for answer in benchmark.judge(said, sandbox)]
                stop()
            return f"{sum(verdicts[mode]):,} of {len(said):,}"

        measured[mode] = measure(ours)
        _line(f"{name}: {mode}", measured[mode])
    programs = [
        None if problem.call in text else f"{problem.code}\nassert {problem.output} == {text}"
        for problem, _, text in texts
    ]

    order = random.Random(0).sample(range(len(programs)), len(programs))
    passed: list[bool] = []
    peer = measure(lambda _: _judge_until(options, [programs[at] for at in order], passed))
    peer = peer.scale(len(programs) / len(passed))
    _line("  peer: a process for each (stand-in), all", peer, measured["compat"])
    _line("  the same against `fixed`", peer, measured["fixed"])
    pairs = zip(order, passed, strict=False)
    other = sum(verdicts["compat"][at] != verdict for at, verdict in pairs)
    print(f"  peer judged {len(passed):,}; {other} of its verdicts are not those of `compat`")


def _judge_until(
    options: argparse.Namespace, programs: Sequence[str | None], passed: list[bool]
) -> str:
    """Judges programs in order, all or those that the peer's time suffices for."""
    until = time.monotonic() + options.peer_seconds
    some = 16 * options.workers
    # Workers of multiprocessing.Pool may not start processes; those of an executor may.
    with ProcessPoolExecutor(options.workers) as pool:
        while len(passed) < len(programs) and time.monotonic() < until:
            passed += pool.map(_process_for_one, programs[len(passed) :][:some])
    return f"{sum(passed):,} of {len(passed):,}"


def _process_for_one(program: str | None) -> bool:
    """Runs a program by the published method: in a new process that reports whether it finished."""
    if program is None:
        return False
    # As published, a manager's list holds the verdict, so each answer costs two processes.
    with multiprocessing.Manager() as manager:
        verdict = manager.list()
        process = multiprocessing.Process(target=_assert, args=(program, verdict))
        process.start()
        process.join(OFFICIAL_SECONDS + 1)
        if process.is_alive():
            process.kill()
            process.join()
        return list(verdict) == [True]


def _assert(program: str, verdict: list) -> None:
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.setitimer(signal.ITIMER_REAL, OFFICIAL_SECONDS)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  it ends with the process
    try:
        exec(program, {})
    except BaseException:
        verdict.append(False)
    else:
        verdict.append(True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _out_of_time(*unused: object) -> None:
    raise TimeoutError


if __name__ == "__main__":
    main()
