"""Tests a small quickstart: all stages run, a second run reuses results, mistakes are one line."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from launch.quickstart_stages import main

TINY = [
    "--config.data.synthetic.functions=200",
    "--config.train.num_steps=30",
    "--config.optimizer.warmup_steps=5",
    "--config.train.eval_every=0",
]


def _run(*arguments):
    command = [sys.executable, "-m", "launch.quickstart", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=550)


@pytest.mark.slow
def test_every_stage_runs_and_a_second_run_keeps_it(tmp_path):
    first = _run(f"--workdir={tmp_path}", *TINY)
    assert first.returncode == 0, first.stderr
    for part in ("untrained", "trained", "monologue", "direct", "tokens/s", "peak memory"):
        assert part in first.stdout
    export = tmp_path / "export"
    assert f"exported to  {export}" in first.stdout

    result = json.loads((tmp_path / "result.json").read_text())
    scores = {score["variant"]: score for score in result["trained"]["scores"]}
    assert set(scores) == {"monologue", "direct"}
    problems = (tmp_path / "corpus" / "problems.jsonl").read_text().splitlines()
    # Malformed answers stay in the count.
    assert all(score["samples"] == min(400, len(problems)) for score in scores.values())

    weights = (export / "model.safetensors").read_bytes()
    second = _run(f"--workdir={tmp_path}", *TINY)
    assert second.returncode == 0, second.stderr
    assert (export / "model.safetensors").read_bytes() == weights
    assert (
        json.loads((tmp_path / "result.json").read_text())["trained"]["answers"]
        == (result["trained"]["answers"])
    )

    # The export is an ordinary Llama model: transformers computes the same logits from it.
    torch = pytest.importorskip("torch")
    from flax import nnx
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from semcoder_jax.loading import load_model

    theirs = AutoModelForCausalLM.from_pretrained(export, dtype=torch.float32)
    text = json.loads(problems[0])["program"]
    ids = np.array([AutoTokenizer.from_pretrained(export)(text)["input_ids"]])
    positions = np.arange(ids.shape[1])[None]
    model = load_model(tmp_path)
    ours = nnx.merge(model.graphdef, model.params)(ids, positions, np.ones_like(ids))
    with torch.no_grad():
        expected = theirs(torch.tensor(ids)).logits.numpy()
    np.testing.assert_allclose(np.asarray(ours), expected, atol=2e-5)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--config.train.num_stepz=3", "num_stepz"),
        ("--config=configs/absent.py", "absent.py"),
        ("--config.data.synthetic.functions=0", "functions=0"),
        ("--nonsense", "nonsense"),
    ],
)
@pytest.mark.usefixtures("one_device")
def test_a_mistake_ends_in_one_line(tmp_path, argument, said, capsys):
    assert main([f"--workdir={tmp_path}", argument]) == 2
    error = capsys.readouterr().err
    lines = error.strip().splitlines()
    assert lines[-1].startswith("error: ") and said in lines[-1]
    assert "Traceback" not in error


def test_ctrl_c_while_it_imports_is_one_line(tmp_path):
    """Sent while JAX and what it needs are being loaded."""
    for seconds in (0.0, 0.3):
        process = subprocess.Popen(
            [sys.executable, "-v", "-m", "launch.quickstart", f"--workdir={tmp_path / 'run'}"],
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in process.stderr:
            if line.startswith("import 'jax.version'"):
                break
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        told = [line for line in process.stderr if not line.startswith(("#", "import "))]
        assert process.wait(60) == 130, told
        assert "stopped\n" in told and not any("Traceback" in line for line in told), told
        assert not (tmp_path / "run").exists()
