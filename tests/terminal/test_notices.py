"""Tests that warnings do not mix with errors: a failed command prints one line on stderr."""

import io
import logging
import sys

import pytest

from data_pipeline.commands import ask, faults, verify
from data_pipeline.commands import execute as execution
from data_pipeline.commands import trace as tracing
from data_pipeline.execution.service import Sandbox, SandboxUnavailable
from data_pipeline.terminal.notices import StderrHandler, logger
from semcoder_jax.commands import serve
from semcoder_jax.server import run as server

PROGRAM = "def f(x):\n    return 10 // x\n"


@pytest.fixture
def weak(tmp_path, monkeypatch):
    """Makes a folder with a program, on a machine without bubblewrap."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "program.py").write_text(PROGRAM)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path)
    try:
        Sandbox(workers=1).close()
    except SandboxUnavailable as error:
        pytest.skip(f"no tier B here: {error}")
    return tmp_path


@pytest.fixture
def stale_handler(monkeypatch):
    """Installs a root handler with a closed stream, as a library does that logs too early."""
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(logging.root, "handlers", [logging.StreamHandler(stream)])


FROM_CALL = ["--program=program.py", "--call=f(x)"]
MISTAKES = {
    "execution": (execution.main, FROM_CALL),
    "tracing": (tracing.main, ["program.py", "f(x)"]),
    "faults": (faults.main, FROM_CALL),
    "faults, exception": (faults.main, ["--program=program.py", "--call=f(0)"]),
    "ask": (ask.main, [*FROM_CALL, "--url=http://127.0.0.1:9/v1", "--model=m"]),
    "verify": (verify.main, [*FROM_CALL, "--monologue=program.py"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_stays_one_line_on_a_weaker_tier(weak, stale_handler, capsys, name):
    main, arguments = MISTAKES[name]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1, said


@pytest.mark.parametrize("name", ["tracing", "verify"])
def test_a_command_that_succeeds_names_the_weaker_tier_once(weak, stale_handler, capsys, name):
    arguments = ["--program=program.py", "--call=f(3)", "--monologue=program.py"]
    main, line = {
        "tracing": (tracing.main, ["program.py", "f(3)"]),
        "verify": (verify.main, arguments),
    }[name]
    assert main(line) == 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("warning: the sandbox is of tier B: ")
    assert "apt-get install bubblewrap" in said


def test_a_warning_goes_to_the_stream_of_its_moment(monkeypatch):
    for _ in range(2):
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        logger.warning("%d of %d", 1, 2)
        assert stream.getvalue() == "warning: 1 of 2\n"
    closed = io.StringIO()
    closed.close()
    for none in (closed, None):
        monkeypatch.setattr(sys, "stderr", none)
        logger.warning("lost")


def test_a_formatter_shapes_the_line(capsys):
    handler = StderrHandler()
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    handler.emit(logging.LogRecord("n", logging.INFO, "", 0, "a %s", ("b",), None))
    assert capsys.readouterr().err == "n INFO a b\n"


def test_a_server_leaves_logging_as_it_was(monkeypatch, stale_handler, capsys):
    handlers, level = list(logging.root.handlers), logging.getLogger("jax").level

    def log_once(*_, **__):
        logging.getLogger("semcoder_jax.server").info("serving")
        logging.getLogger("jax").info("compiling")
        return True

    monkeypatch.setattr(server, "_make_engine", lambda *_, **__: None)
    monkeypatch.setattr(server, "_run_server", log_once)
    assert serve.main(["--checkpoint=none", "--port=0"]) == 0
    said = capsys.readouterr().err
    assert said.endswith(" INFO serving\n") and said.count("\n") == 1
    assert logging.root.handlers == handlers
    assert logging.getLogger("jax").level == level
