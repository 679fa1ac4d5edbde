"""Tests our model entry in lm-evaluation-harness itself, beside its entry for transformers."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.tiny_checkpoint import write_checkpoint

REPOSITORY = Path(__file__).parents[2]
TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: {kind}
doc_to_text: "{{{{text}}}}"
{rest}
"""
CHOICE = 'doc_to_target: "{{label}}"\ndoc_to_choice: "{{choices}}"\nmetric_list: [{metric: acc}]'
ROLLING = 'doc_to_target: "{{text}}"\nmetric_list: [{metric: word_perplexity}]'
GENERATED = """
doc_to_target: "{{choices[0]}}"
generation_kwargs: {until: ["\\n\\n", " the"], max_gen_toks: 12, do_sample: false}
metric_list: [{metric: exact_match}]
"""
ROWS = [
    {"text": "def f(a):\n    b = a + 1", "choices": [" return b", " return a + 1"], "label": 0},
    {"text": "assert f(3)", "choices": [" == 4", " == [1, 2]", " == None"], "label": 1},
    {"text": "x = 1", "choices": ["\nreturn x", "\ny = 2\nz = 3"], "label": 0},
]


def write_tasks(folder: Path) -> None:
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for name, kind, rest in (
        ("choice", "multiple_choice", CHOICE),
        ("rolling", "loglikelihood_rolling", ROLLING),
        ("generated", "generate_until", GENERATED),
    ):
        text = TASK.format(name=name, data=data, kind=kind, rest=rest)
        (folder / f"{name}.yaml").write_text(text)


def numbers(answers):
    """All numbers in nested lists, in order."""
    if isinstance(answers, list):
        return [number for each in answers for number in numbers(each)]
    return [float(answers == "True" if answers in ("True", "False") else answers)]


@pytest.mark.slow
def test_the_harness_gets_what_transformers_gives(harnesses_python, tmp_path):
    write_checkpoint(tmp_path / "checkpoint")
    (tmp_path / "tasks").mkdir()
    write_tasks(tmp_path / "tasks")
    environment = os.environ | {
        "PYTHONPATH": str(REPOSITORY),
        "JAX_PLATFORMS": "cpu",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(tmp_path / "cache"),
    }
    script = "tests/support/lm_eval_run.py"
    done = subprocess.run(
        [harnesses_python, script, tmp_path / "checkpoint", tmp_path / "tasks"],
        env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    ours, theirs = found["semcoder"], found["hf"]
    assert numbers(ours["choice"]) == pytest.approx(numbers(theirs["choice"]), abs=2e-3)
    assert sum(number < -1 for number in numbers(ours["choice"])) == 7
    assert numbers(ours["rolling"]) == pytest.approx(numbers(theirs["rolling"]), abs=5e-3)
    assert len(numbers(ours["rolling"])) == len(ROWS)
    assert ours["generated"] == theirs["generated"]
    assert len({str(answer) for answer in ours["generated"]}) == len(ROWS)
