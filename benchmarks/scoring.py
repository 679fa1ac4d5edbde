"""Measures scoring: python benchmarks/scoring.py --data=DIR [--evalplus=PYTHON] [--quick].

Runs two pieces of work, each next to a peer with the same number of workers:

1. The 164 reference solutions of HumanEval+ on all base and additional inputs. Peer: EvalPlus 0.3.1
   (`evalplus.evaluate`) in a separate environment, whose interpreter --evalplus names
   (`python -m venv DIR && DIR/bin/pip install evalplus==0.3.1`; DIR/bin/python). Both sides compute
   the expected outputs before the clock starts. The time excludes EvalPlus's watchdog thread, which
   sleeps up to 20 s after the last verdict.
2. 800 x 10 answers to CRUXEval-O (the official CodeLlama-7B samples). Peer: our implementation of
   the official scorer's published method, not its code: a fresh process per answer that runs
   `assert output == answer` with a limit of 3 s, and a manager process for its verdict.

DIR is the folder with humanevalplus/ and cruxeval/. --quick uses 12 solutions and 80 x 2 answers.
Times are wall seconds, including the start of the workers; ratio is the peer's time over ours.
Measure on a quiet machine.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
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
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.data is None:
        parser.error("--data=DIR: the folder with humanevalplus/ and cruxeval/")
    print(describe_machine(options.workers, "figures mean little"))
    print(f"{'work':<44} {'right':>14} {'seconds':>8} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        _humaneval(options, Path(folder))
    _cruxeval(options)


def measure(work: Callable[[], str]) -> tuple[str, float]:
    """Returns (text returned by `work`, wall seconds)."""
    begun = time.perf_counter()
    return work(), time.perf_counter() - begun


def _line(name: str, told: str, wall: float, ours: float | None = None) -> None:
    ratio = f"{wall / ours:>6.1f}x" if ours else ""
    print(f"{name:<44} {told:>14} {wall:>8.1f} {ratio:>7}", flush=True)


# ==== HumanEval+


def _humaneval(options: argparse.Namespace, folder: Path) -> None:
    tasks = read_tasks("humaneval", options.data / HUMANEVAL, limit=12 if options.quick else None)
    benchmark = EvalPlus(tasks, "humaneval", cache=folder / "ours")
    said = [Response(t.id, 0, "code", "compat", t.reference, is_answer=True) for t in tasks]

    def ours() -> str:
        with Sandbox(workers=options.workers) as sandbox:
            answers = list(benchmark.judge(said, sandbox))
        return f"{sum(answer.right for answer in answers[1::2])} of {len(said)}"

    ours()  # expected outputs; bytecode
    told, wall = measure(ours)
    _line(f"HumanEval+, {len(tasks)} solutions: sandbox", told, wall)
    if not options.evalplus:
        print("  EvalPlus: left out; --evalplus=PYTHON names the interpreter that has it")
        return
    data, samples = folder / "data.jsonl", folder / "samples.jsonl"
    with gzip.open(options.data / HUMANEVAL, "rt") as lines:
        data.write_text("".join(line for line, _ in zip(lines, tasks, strict=False)))
    samples.write_text(
        "".join(json.dumps({"task_id": t.id, "solution": t.reference}) + "\n" for t in tasks)
    )
    _evalplus(options, data, samples, folder)  # expected outputs; bytecode
    told, wall_peer = measure(lambda: _evalplus(options, data, samples, folder))
    _line(f"HumanEval+, {len(tasks)} solutions: EvalPlus", told, wall_peer, wall)


_EVALUATE = """
import sys
from evalplus import evaluate

class NoWatcher:
    def __init__(self, target): pass
    def start(self): pass

evaluate.threading = type("threading", (), {"Thread": NoWatcher})
evaluate.evaluate("humaneval", samples=sys.argv[1], parallel=int(sys.argv[2]))
"""


def _evalplus(options: argparse.Namespace, data: Path, samples: Path, folder: Path) -> str:
    result = folder / "samples_eval_results.json"
    result.unlink(missing_ok=True)
    done = subprocess.run(
        [options.evalplus, "-c", _EVALUATE, str(samples), str(options.workers)],
        env={**os.environ, "HUMANEVAL_OVERRIDE_PATH": str(data), "XDG_CACHE_HOME": str(folder)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if not result.is_file():
        sys.exit(f"error: EvalPlus gave no result: {done.stderr.strip()[-500:]}")
    rows = [row for rows in json.loads(result.read_text())["eval"].values() for row in rows]
    right = sum(row["base_status"] == row["plus_status"] == "pass" for row in rows)
    return f"{right} of {len(rows)}"


# ==== CRUXEval-O


def _cruxeval(options: argparse.Namespace) -> None:
    problems = read_problems(options.data / CRUXEVAL, limit=80 if options.quick else None)
    (file,) = sorted((options.data / SAMPLES).glob("*output*/generations.json"))
    each = 2 if options.quick else 10
    generations = json.loads(file.read_text())
    texts = [(p, n, t) for p in problems for n, t in enumerate(generations[p.id][:each])]
    benchmark = CruxEval(problems, "output")
    name = f"CRUXEval-O, {len(problems)} x {each} answers"
    walls = {}
    for mode in ("compat", "fixed"):
        said = [Response(p.id, n, "direct", mode, t, is_answer=True) for p, n, t in texts]

        def ours(said=said) -> str:
            with Sandbox(workers=options.workers) as sandbox:
                answers = list(benchmark.judge(said, sandbox))
            return f"{sum(answer.right for answer in answers):,} of {len(answers):,}"

        told, walls[mode] = measure(ours)
        _line(f"{name}: {mode}", told, walls[mode])
    programs = [
        None if problem.call in text else f"{problem.code}\nassert {problem.output} == {text}"
        for problem, _, text in texts
    ]

    def peer() -> str:
        # Workers of multiprocessing.Pool may not start processes; those of an executor may.
        with ProcessPoolExecutor(options.workers) as pool:
            passed = sum(pool.map(_process_for_one, programs, chunksize=16))
        return f"{passed:,} of {len(programs):,}"

    told, wall = measure(peer)
    _line("  peer: a process for each (stand-in)", told, wall, walls["compat"])
    print(f"  against `fixed`: {wall / walls['fixed']:.1f}x")


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
