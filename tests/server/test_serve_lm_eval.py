"""Runs lm-evaluation-harness against the server: log-likelihoods and generation (slow set).

It is installed as whoever scores a server with it installs it, in an environment of its own:
SEMCODER_HARNESSES_PYTHON names its interpreter.
"""

import json
import os
import subprocess

import numpy as np
import pytest
import torch

from semcoder_jax.inference.engine import Engine
from semcoder_jax.loading import load_model
from tests.support.byte_model import write_byte_model
from tests.support.tiny_server import CONTEXT, KEY, serve_engine

CHOICES = [
    ("def f(x):\n    return x", [" + 1", " - x * 2", "\n"]),
    ("for i in", [" y:", " range(3):"]),
]
TASKS = {
    "choose": """
output_type: multiple_choice
doc_to_text: "{{text}}"
doc_to_target: "{{answer}}"
doc_to_choice: "{{choices}}"
target_delimiter: ""
""",
    "continue": """
output_type: generate_until
doc_to_text: "{{text}}"
doc_to_target: "{{choices[0]}}"
generation_kwargs: {until: ["zzz"], max_gen_toks: 8, do_sample: false}
metric_list: [{metric: exact_match}]
""",
}


@pytest.mark.slow
def test_lm_evaluation_harness_scores_a_server(harnesses_python, tmp_path):
    pytest.importorskip("uvicorn", reason="needs the serve extra")
    oracle = write_byte_model(tmp_path / "base", CONTEXT)
    model = load_model(tmp_path / "base")
    rows = [{"text": text, "choices": each, "answer": 0} for text, each in CHOICES]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name, fields in TASKS.items():
        data = {"data_files": {"test": str(tmp_path / "data.jsonl")}}
        head = f"task: {name}\ndataset_path: json\ndataset_kwargs: {json.dumps(data)}\n"
        (tmp_path / f"{name}.yaml").write_text(f"{head}test_split: test\n{fields}")
    engine = Engine(model, num_slots=2)
    with serve_engine(engine) as (address, _):
        run_harness(harnesses_python, tmp_path, address)
    for row, (text, choices) in zip(read_samples(tmp_path, "choose"), CHOICES, strict=True):
        for (score, greedy), choice in zip(row["filtered_resps"], choices, strict=True):
            expected, best = score_text(oracle, model.tokenizer, text, choice)
            assert float(score) == pytest.approx(expected, abs=1e-2)
            assert str(greedy) == str(best)
    for row, (text, _) in zip(read_samples(tmp_path, "continue"), CHOICES, strict=True):
        prompt = torch.tensor([model.tokenizer.encode(text, add_special_tokens=False)])
        tokens = oracle.generate(prompt, max_new_tokens=8, do_sample=False, pad_token_id=0)
        generated = tokens[0, prompt.shape[1] :]
        expected = model.tokenizer.decode(generated, skip_special_tokens=True)
        assert row["filtered_resps"] == [expected]


def run_harness(python, folder, address):
    arguments = {
        "model": "tiny",
        "base_url": f"{address}/v1/completions",
        "tokenizer": str(folder / "base"),
        "tokenizer_backend": "huggingface",
        "max_length": CONTEXT - 1,
        "num_concurrent": 2,
    }
    done = subprocess.run(
        [
            python,
            *("-m", "lm_eval", "--model=local-completions", f"--include_path={folder}"),
            "--model_args=" + ",".join(f"{name}={value}" for name, value in arguments.items()),
            f"--tasks={','.join(TASKS)}",
            f"--output_path={folder / 'out'}",
            "--log_samples",
        ],
        cwd=folder,
        env=os.environ
        | {"OPENAI_API_KEY": KEY, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def read_samples(folder, task: str) -> list[dict]:
    (path,) = (folder / "out").rglob(f"samples_{task}_*.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return sorted(rows, key=lambda row: row["doc_id"])


def score_text(oracle, tokenizer, context: str, text: str) -> tuple[float, bool]:
    """Returns the log-probability of `text` after `context`, and whether it is the greedy one."""
    before = tokenizer.encode(context, add_special_tokens=False)
    tokens = tokenizer.encode(context + text, add_special_tokens=False)
    with torch.no_grad():
        scores = oracle(torch.tensor([tokens])).logits[0].log_softmax(-1).numpy()
    places = np.arange(len(before), len(tokens))
    chosen = np.array(tokens)[places]
    best = scores[places - 1].argmax(-1)
    return float(scores[places - 1, chosen].sum()), bool((best == chosen).all())
