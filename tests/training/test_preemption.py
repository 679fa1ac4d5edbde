"""Tests what is told of the time to save after SIGTERM, and a save that fails then."""

import contextlib
import hashlib
import os
import signal
import sys
import threading
import time

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
import pytest

from semcoder_jax.checkpoints import Checkpoints
from semcoder_jax.training import loop as training
from semcoder_jax.training.metrics import read_metrics
from semcoder_jax.training.preemption import GracePeriod, StopSignal
from tests.support.tiny_run import tiny_config


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_two_steps_and_a_save_are_measured_and_told_once():
    clock = Clock()
    grace = GracePeriod(30, clock=clock)
    assert grace.finish_step(9.0, is_saving=False) is None  # nothing was saved yet
    grace.begin_save()
    clock.now = 10.0
    assert grace.finish_step(9.0, is_saving=True) is None
    clock.now = 20.0
    told = grace.finish_step(9.0, is_saving=False)
    assert told.startswith(
        "a save after SIGTERM takes up to 38 s (two steps of 9.0 s, 20.0 s until all is written), "
        "train.grace_seconds is 30: "
    )
    grace.begin_save()
    clock.now = 60.0
    assert grace.finish_step(9.0, is_saving=False) is None


@pytest.mark.parametrize(("seconds", "save"), [(30, 11.9), (0, 1000.0)])
def test_nothing_is_told_if_it_fits_or_nobody_asks(seconds, save):
    clock = Clock()
    grace = GracePeriod(seconds, clock=clock)
    grace.begin_save()
    clock.now = save
    assert grace.finish_step(9.0, is_saving=False) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_block_that_it_may_end_and_no_other(number):
    done = []
    with StopSignal() as stop:
        with stop.interrupts(), contextlib.suppress(Exception):
            done.append("begun")
            os.kill(os.getpid(), number)
            time.sleep(30)
            done.append("ended")
        assert done == ["begun"] and stop.is_seen
        if number == signal.SIGINT:  # a second Ctrl-C is not held up
            with pytest.raises(KeyboardInterrupt), stop.interrupts():
                os.kill(os.getpid(), number)
                time.sleep(30)
    with StopSignal() as stop:
        with stop.interrupts():
            pass
        os.kill(os.getpid(), number)
        done.append("behind")
    assert done == ["begun", "behind"] and stop.is_seen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_told_while_compiled_code_runs(number, monkeypatch):
    """Deriving a key stands for a step: C code in which Python handles no signal."""
    told = []

    class Stream:
        def write(self, text):
            told.append((time.monotonic(), text))

        def flush(self):
            pass

    monkeypatch.setattr(sys, "stderr", Stream())
    with StopSignal() as stop:
        sender = threading.Timer(0.2, os.kill, (os.getpid(), number))
        sender.start()
        while not told and sender.is_alive():
            hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 5_000_000)
            ended = time.monotonic()
        sender.join()
        os.kill(os.getpid(), signal.SIGTERM)  # a second one is not told
        assert stop.is_seen
    assert signal.set_wakeup_fd(-1) == -1
    assert "".join(text for _, text in told) == (
        f"{signal.Signals(number).name}: stopping after this step, which is then saved\n"
    )
    assert told[0][0] < ended


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_once", "one_device")
@pytest.mark.parametrize("step", [4, 12])
def test_sigterm_ends_an_evaluation_and_its_step_is_saved(
    step, data, tmp_path, monkeypatch, capsys
):
    """The last evaluation, too, whose step completes the run."""

    def endless(*_):
        def evaluate(params):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

        return evaluate

    monkeypatch.setattr(training, "make_evaluation", endless)
    began = time.monotonic()
    config = tiny_config(data, train__eval_every=step)
    found = training.train(config, tmp_path)
    assert time.monotonic() - began < 60
    assert found.step == step and found.eval_loss is None
    assert f"step {step}: the evaluation is left out" in capsys.readouterr().err
    assert Checkpoints(tmp_path, keep=1).latest_step() == step
    monkeypatch.undo()
    assert training.train(config, tmp_path).step == 12
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows if "loss" in row] == list(range(1, 13))


class Data:
    """The position of an input."""

    def __init__(self, step):
        self.step = step

    def get_state(self):
        return {"step": self.step}

    def set_state(self, state):
        self.step = state["step"]


def arrays(value):
    return {"w": jnp.full((4, 4), value, jnp.float32)}


def test_ctrl_c_while_a_save_is_waited_for_prints_no_traceback(
    tmp_path, monkeypatch, capsys, caplog
):
    """Orbax logs the traceback of whatever ends its waiting."""

    def interrupted(*_):
        raise KeyboardInterrupt

    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, arrays(1.0), arrays(2.0), Data(1))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(threading.Thread, "join", interrupted)
        checkpoints.wait()
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out + caplog.text
    checkpoints.close()


def restored(workdir):
    """(step, first number, position) of the checkpoint that a new session finds."""
    checkpoints, data = Checkpoints(workdir), Data(0)
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = {"w": jax.ShapeDtypeStruct((4, 4), jnp.float32, sharding=place)}
    found = checkpoints.restore_last(shapes, shapes, data)
    checkpoints.close()
    return found.step, float(found.params["w"][0, 0]), data.step


def test_a_save_in_flight_is_finished_before_the_emergency_save(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (5, 6):  # the second does not wait for the first
        checkpoints.save(step, arrays(step), arrays(0), Data(step))
    checkpoints.close()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["5", "6"]
    assert restored(tmp_path) == (6, 6.0, 6)


def test_an_emergency_save_that_fails_leaves_the_former_whole(tmp_path, monkeypatch):
    """The disk refuses the last file, after the arrays are written."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, arrays(5), arrays(0), Data(5))
    checkpoints.wait()

    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ocp.handlers.JsonCheckpointHandler, "async_save", refuse)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(6, arrays(6), arrays(0), Data(6))
    monkeypatch.undo()
    assert restored(tmp_path) == (5, 5.0, 5)
