"""Mixes 10,000 honest and hostile runs: no resource grows, and a lost worker costs one retry."""

import gc
import random
import signal

import psutil
import pytest

from data_pipeline.execution import oracles
from data_pipeline.execution.service import Limits, call_job
from tests.support.hostile_programs import PROGRAMS
from tests.support.sandboxes import children_since, open_sandbox

pytestmark = pytest.mark.sandbox
RUNS = 10_000
LIMITS = Limits(cpu_seconds=0.2, wall_seconds=2.0, memory_bytes=128 << 20, output_bytes=1 << 14)
HONEST = "def f(n):\n    return [n, sum(k * k for k in range(n % 50)), {n: str(n)}]\n"
SLOW = ("limit cpu", "limit wall", "limit memory")  # of these only a few: each takes its limit


def answer(n: int) -> list:
    return [n, sum(k * k for k in range(n % 50)), {n: str(n)}]


def usage(earlier: set[psutil.Process]) -> tuple[int, int, int, int]:
    """Returns descriptors, child processes, own resident bytes, resident bytes of children.

    earlier: children that do not count, such as multiprocessing's tracker of an earlier test
    """
    gc.collect()
    own = psutil.Process()
    below = children_since(earlier, recursive=True)
    return (
        own.num_fds(),
        len(below),
        own.memory_info().rss,
        sum(process.memory_info().rss for process in below),
    )


@pytest.mark.slow
@pytest.mark.exclusive
@pytest.mark.parametrize("tier", ["A", "B"])
def test_soak(tier):
    chance = random.Random(4)
    quick = [p for p in PROGRAMS if p.mode == "call" and not p.ends[0].startswith("limit")]
    quick = [p for p in quick if not any(end in SLOW for end in p.ends)]
    slow = [p for p in PROGRAMS if p.mode == "call" and p.ends[0] == "limit cpu"]
    assert len(quick) >= 35 and len(slow) >= 5
    honest: dict[int, bool] = {}

    def jobs():
        for number in range(RUNS):
            draw = chance.random()
            honest[number] = draw < 0.7
            if honest[number]:
                yield call_job(HONEST, f"f({number})")
            elif draw < 0.995:
                yield call_job(chance.choice(quick).program, "f(3)")
            else:
                yield call_job(chance.choice(slow).program, "f(3)")

    earlier = set(psutil.Process().children(recursive=True))
    retried = killed = 0
    with open_sandbox(tier=tier, workers=2, limits=LIMITS) as sandbox:
        for number, result in enumerate(sandbox.map(jobs())):
            if honest[number]:
                assert oracles.is_exact(result, answer(number)), (number, result)
            else:
                assert not oracles.is_exact(result, answer(number))
            retried += result.tries > 1
            if number == RUNS // 10:
                before = usage(earlier)
            if number in (RUNS // 2, RUNS * 3 // 4):
                children_since(earlier)[0].send_signal(signal.SIGKILL)
                killed += 1
        after = usage(earlier)
    assert killed == 2 and retried <= 2 * killed
    assert after[0] <= before[0] + 4, f"descriptors: {before[0]} -> {after[0]}"
    assert after[1] <= before[1] + 1, f"processes: {before[1]} -> {after[1]}"
    assert after[2] < before[2] + (24 << 20), f"own memory: {before[2]} -> {after[2]}"
    assert after[3] < before[3] + (24 << 20), f"workers' memory: {before[3]} -> {after[3]}"
    assert children_since(earlier) == []
