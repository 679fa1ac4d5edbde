"""Runs EvalPlus 0.3.1 against the server with its openai backend (slow set).

It needs a separate environment, because its protobuf conflicts with ours:
SEMCODER_EVALPLUS_PYTHON names its interpreter.
"""

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.tiny_checkpoint import write_checkpoint

REPOSITORY = Path(__file__).parents[2]
TEMPLATE = "{% for m in messages %}{{ m.content }}\n{% endfor %}"


@pytest.mark.slow
def test_code_is_generated_for_a_problem(evalplus_python, shared_data, tmp_path):
    pytest.importorskip("uvicorn", reason="needs the serve extra")
    checkpoint = write_checkpoint(tmp_path / "tiny", max_positions=2_048)
    (checkpoint / "chat_template.jinja").write_text(TEMPLATE)
    packed = shared_data / "humanevalplus" / "HumanEvalPlus.jsonl.gz"
    problems = tmp_path / "problems.jsonl"
    problems.write_bytes(gzip.decompress(packed.read_bytes()))
    log = tmp_path / "log"
    command = [sys.executable, "-m", "semcoder_jax.serve", f"--checkpoint={checkpoint}"]
    with log.open("w") as errors:
        server = subprocess.Popen(
            [*command, "--port=0", "--num_slots=2"],
            cwd=REPOSITORY,
            stderr=errors,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
        )
    try:
        deadline = time.monotonic() + 300
        while "serving" not in log.read_text():
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        address = log.read_text().split(" at ")[1].split()[0]
        flags = ["--backend=openai", f"--base_url={address}", "--greedy", f"--root={tmp_path}"]
        done = subprocess.run(
            [
                evalplus_python,
                "-m",
                "evalplus.codegen",
                "tiny",
                "humaneval",
                *flags,
                "--id_range=[23,24]",
            ],
            env=os.environ | {"HUMANEVAL_OVERRIDE_PATH": str(problems), "OPENAI_API_KEY": "none"},
            capture_output=True,
            text=True,
            timeout=200,
        )
    finally:
        server.terminate()
        server.wait(60)
    assert done.returncode == 0, done.stderr[-3000:]
    (raw,) = (tmp_path / "humaneval").glob("*.raw.jsonl")
    (row,) = [json.loads(line) for line in raw.read_text().splitlines()]
    assert row["task_id"] == "HumanEval/23" and row["solution"]
