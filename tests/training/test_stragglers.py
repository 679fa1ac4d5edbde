"""Tests which process is named for holding the others up, on times by hand, and the measurement."""

import jax
import pytest

from semcoder_jax.training import stragglers
from semcoder_jax.training.stragglers import HostTime, HostTimes, find_straggler


def times(*pairs):
    """Host and waiting milliseconds of each process; a hundredth of the host's is for the input."""
    return [HostTime(host / 1e3, host / 1e5, waiting / 1e3) for host, waiting in pairs]


@pytest.mark.parametrize(
    ("measured", "process"),
    [
        (times((5, 295), (300, 2), (7, 293), (6, 294)), 1),
        (times((300, 0), (10, 290)), 0),  # of two, the median of the others is the other's
        (times((6, 54), (7, 53), (59, 1), (50, 10)), 2),  # two are slow: the slowest is named
    ],
)
def test_the_slow_process_is_named(measured, process):
    assert find_straggler(measured).process == process


@pytest.mark.parametrize(
    "measured",
    [
        times((300, 2)),  # alone
        times((5, 295), (6, 294)),
        times((300, 2), (290, 12)),  # all hosts are slow
        times((5, 995), (300, 700)),  # slower, but its devices are busy all the time
        times((1, 99), (4, 96), (8, 92)),  # 8 times another, for 7 % of a step
        times((100, 0), (70, 30)),  # less than 1.5 times the other
    ],
)
def test_nobody_is_named_who_does_not_hold_the_others_up(measured):
    assert find_straggler(measured) is None


def test_where_nothing_overlaps_a_slow_host_is_never_hidden():
    measured = times((5, 995), (300, 700))
    assert find_straggler(measured, overlaps=False).process == 1


def test_the_line_tells_how_much_slower():
    found = find_straggler([HostTime(0.01, 0.002, 0.3), HostTime(0.31, 0.3, 0.0)])
    assert str(found) == (
        "process 1 holds the others up: its host takes 310 ms a step before its devices can start "
        "(input 300 ms), the others' 10 ms (31.0 times); they wait 300 ms longer for the devices, "
        "in a step of 310 ms"
    )


def test_a_straggler_is_told_when_it_comes_and_when_it_goes():
    hosts = HostTimes(jax.devices())
    slow, fast = times((5, 295), (300, 0)), times((5, 295), (6, 294))
    other = times((300, 0), (5, 295))
    told = [hosts.news(measured) for measured in (fast, slow, slow, other, fast, fast)]
    starts = [line and line[:24] for line in told]
    assert starts == [
        None, "process 1 holds the othe", None, "process 0 holds the othe",
        "process 0 no longer hold", None,
    ]  # fmt: skip


class Clock:
    """A clock that goes on when it is told."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def measured(monkeypatch):
    """(this process's HostTimes, its clock, the rows that it would gather with another process)."""
    clock, rows = Clock(), []
    hosts = HostTimes(jax.devices())
    hosts._processes = [jax.process_index(), jax.process_index() + 1]
    monkeypatch.setattr(stragglers, "time", clock)
    monkeypatch.setattr(jax, "make_array_from_process_local_data", lambda *given: given[1])
    monkeypatch.setattr(hosts, "_gather", lambda local: rows.append(local[0].tolist()))
    return hosts, clock, rows


def test_time_in_waits_is_not_the_hosts(measured):
    hosts, clock, rows = measured
    with hosts.waiting():
        clock.now += 0.25
    with hosts.starting_step():  # on CPU, where this call waits for the others
        clock.now += 0.5
    with hosts.starting_step():
        clock.now += 0.125
    assert hosts.end_interval({"steps": 1.0, "input": 0.5, "checkpoint": 7.0}) is None
    assert rows == [[(1.5 - 0.875) / 2, 0.5 / 2, 0.875 / 2]]  # host, input, waiting


def test_an_interval_in_which_no_step_starts_counts_to_the_next(measured):
    """As when a step is published at its save: its host's part was in the interval before."""
    hosts, clock, rows = measured
    hosts.end_interval({"steps": 1.0})
    assert rows == []
    with hosts.starting_step():
        clock.now += 0.25
    hosts.end_interval({"steps": 2.0, "input": 1.5})
    assert rows == [[4.25, 1.5, 0.25]]
