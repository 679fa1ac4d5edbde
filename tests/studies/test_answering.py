"""Tests verdicts on answers of every form: true ones, wrong ones, and other right calls."""

import json

import pytest

from data_pipeline.forms import FORMS
from semcoder_jax.inference.generate import Generation
from semcoder_jax.studies import answering
from semcoder_jax.studies.answering import AskOptions, ask, read_problems

PROGRAM = "def f(a, b):\n    c = a + b\n    if c > 5:\n        c = c - 2\n    return c"
CALLS = {"six": ("f(a=4, b=2)", "4"), "three": ("f(a=1, b=2)", "3")}  # outputs by hand
OPTIONS = AskOptions(batch_size=2, max_new_tokens=8)


@pytest.fixture
def problems(tmp_path):
    rows = [
        {
            "id": id,
            "program": PROGRAM,
            "call": call,
            "output": output,
            "level": "easy",
            "steps": 3,
            "turns": 0,
        }
        for id, (call, output) in CALLS.items()
    ]
    path = tmp_path / "easy.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return read_problems([path], tmp_path, trusted=True)


@pytest.fixture
def answer(monkeypatch, problems):
    """Asks in a form while `change` of the true response stands in for the model's."""

    def judge(name, change=lambda text: text, finish_reason="stop"):
        form, prompts = FORMS[name], []

        def generate(model, asked, options):
            prompts.extend(asked)
            texts = [change(form.response(problems.traces[id])) for id in CALLS]
            texts = [text.removesuffix("\n[/ANSWER]") for text in texts]  # the stop string
            return [Generation(text, (7, 8, 9), finish_reason) for text in texts]

        monkeypatch.setattr(answering, "_generate", generate)
        rows = ask(None, form, problems, list(CALLS), OPTIONS)
        assert all(prompt.endswith(f"{form.opening}\n") for prompt in prompts)
        return rows

    return judge


@pytest.mark.parametrize("name", FORMS)
def test_the_true_response_is_right_and_no_step_of_it_is_contradicted(answer, name):
    rows = answer(name)
    assert [row["id"] for row in rows] == list(CALLS)
    assert all(row["right"] and row["contradicted"] == 0 and row["tokens"] == 3 for row in rows)
    if "direct" not in name:
        assert all(row["checked"] > 0 for row in rows)


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form.task == "forward"])
def test_another_value_is_wrong_and_a_cut_response_has_no_answer(answer, name):
    wrong = answer(name, lambda text: text.replace(") == ", ") == 1"))
    assert [row["outcome"] for row in wrong] == ["wrong", "wrong"]
    cut = answer(name, lambda text: text[: len(text) // 3], finish_reason="length")
    assert [row["outcome"] for row in cut] == ["no answer", "no answer"]


@pytest.mark.parametrize("name", ["backward_direct", "backward_monologue"])
def test_any_call_that_returns_the_output_is_right(answer, name):
    """f(a=5, b=1) returns 4 as well; f(a=9, b=9) returns neither 4 nor 3."""
    other = answer(name, lambda text: text.replace("f(a=4, b=2)", "f(a=5, b=1)"))
    assert [row["right"] for row in other] == [True, True]

    def misled(text: str) -> str:
        before, call, after = text.rpartition("f(a=")
        return f"{before}{call}9, b=9{after[after.index(')') :]}"

    assert [row["right"] for row in answer(name, misled)] == [False, False]


def test_a_contradicted_step_is_counted(answer):
    rows = answer("monologue", lambda text: text.replace("gives c=", "gives c=1"))
    assert all(row["right"] and row["contradicted"] >= 1 for row in rows)
