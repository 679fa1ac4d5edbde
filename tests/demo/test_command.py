"""Tests the command: it starts without JAX, says where it is, and ends by a signal."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from semcoder_jax.commands.demo import main

REPOSITORY = Path(__file__).parents[2]
REFUSE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in ("jax", "transformers", "prometheus_client"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture
def without_jax(tmp_path):
    """The environment of an interpreter that refuses to import JAX."""
    (tmp_path / "sitecustomize.py").write_text(REFUSE)
    return {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"}


def test_it_serves_without_jax_until_a_signal(without_jax, tmp_path):
    command = [sys.executable, "-m", "semcoder_jax.demo", "--port=0"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=without_jax, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            log = []
            while not (found := re.search(r"open (http://127\.0\.0\.1:\d+)", "".join(log[-1:]))):
                log.append(process.stderr.readline())
                assert log[-1], "".join(log)
            page = httpx2.get(found[1])
            body = {"program": "def f(x):\n    return x + 1\n", "call": "f(3)"}
            answer = httpx2.post(f"{found[1]}/api/tell", json=body, timeout=60)
        finally:
            process.send_signal(signal.SIGTERM)
            rest = process.stderr.read()
    assert page.status_code == 200 and "the narrator" in page.text
    assert '"right": true' in answer.text
    assert (process.returncode, "Traceback" in rest) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port=70000"], "--port=70000: expected 0 to 65535"),
        (
            ["--no_model", "--checkpoint=x"],
            "--no_model and --checkpoint: expected one or the other",
        ),
        (["--host=no.such.host.example"], "--host=no.such.host.example --port=7860: "),
    ],
)
def test_a_wrong_argument_is_one_line(capsys, arguments, message):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.splitlines()[-1].startswith("error: ")
