"""Tests traces on request: by the file, by the signal, of this process or of all."""

import os
import signal

import jax
import jax.numpy as jnp
import pytest

from semcoder_jax.training.profile import ProfileRequests, StepTrace


class Clock:
    now = 0.0

    def __call__(self):
        self.now += 10  # more than between two looks at the file
        return self.now


def ask(workdir, text, second):
    path = workdir / "profile.request"
    path.write_text(text)
    os.utime(path, (second, second))


def traced_steps(folder):
    """The numbers of the steps in the traces of a folder, its subfolders left out."""
    found = set()
    for path in (folder / "plugins").rglob("*.xplane.pb"):
        for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
            for line in plane.lines:
                found |= {dict(e.stats)["step_num"] for e in line.events if e.name == "train"}
    return found


def run_steps(trace, first, last):
    step_function = jax.jit(lambda x: x + 1)
    for step in range(first, last + 1):
        with trace.step(step):
            metrics = step_function(jnp.zeros(3))
        if trace.is_last(step):
            trace.stop(metrics)


def test_the_next_steps_are_traced_after_the_file_changes(tmp_path):
    told = []
    ask(tmp_path, "4", second=1)  # of an earlier session
    with ProfileRequests(tmp_path, clock=Clock()) as requests:
        trace = StepTrace(tmp_path, 0, 0, requests, told.append)
        run_steps(trace, 1, 6)
        ask(tmp_path, "2\n", second=2)
        run_steps(trace, 7, 12)
    assert traced_steps(tmp_path / "profile") == {7, 8}
    assert told == ["tracing steps 7 to 8"]


def test_the_file_is_looked_at_now_and_then(tmp_path):
    now = [0.0]
    requests = ProfileRequests(tmp_path, clock=lambda: now[0])
    assert requests.take() == 0
    ask(tmp_path, "3", second=2)
    assert requests.take() == 0
    now[0] = 6.0
    assert [requests.take(), requests.take()] == [3, 0]
    now[0] = 60.0
    assert requests.take() == 0  # it is the same request


@pytest.mark.parametrize(
    ("text", "process", "steps"), [("5", 0, 5), ("5", 1, 0), ("5 all", 0, 5), ("7 all\n", 3, 7)]
)
def test_which_process_a_request_is_for(text, process, steps, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: process)
    requests = ProfileRequests(tmp_path, clock=Clock())
    ask(tmp_path, text, second=2)
    assert requests.take() == steps


@pytest.mark.parametrize("text", ["", "0", "-3", "five", "5 of 7", "5\x00", "123456"])
def test_a_request_that_is_none_is_told_once(text, tmp_path):
    told = []
    requests = ProfileRequests(tmp_path, clock=Clock())
    trace = StepTrace(tmp_path, 0, 0, requests, told.append)
    ask(tmp_path, text, second=2)
    run_steps(trace, 1, 4)
    (line,) = told
    assert line.startswith(f"warning: {tmp_path}/profile.request: expected a number of steps")
    assert not (tmp_path / "profile").exists()


def test_a_signal_asks_this_process_and_what_was_set_before_returns(tmp_path):
    before = signal.getsignal(signal.SIGUSR1)
    with ProfileRequests(tmp_path) as requests:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert [requests.take(), requests.take()] == [5, 0]
    assert signal.getsignal(signal.SIGUSR1) == before


def test_other_processes_write_beside_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 2)
    assert StepTrace(tmp_path, 0, 5).directory == tmp_path / "profile" / "process_2"
