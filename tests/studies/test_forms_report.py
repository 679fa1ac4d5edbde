"""Tests the figures in the report of forms on answers whose figures are computed by hand."""

import json
import re

import pytest

from semcoder_jax.config import FormsStudy, parse_study
from semcoder_jax.config_files import read_config
from semcoder_jax.errors import UserError
from semcoder_jax.studies import forms_report

pytest.importorskip("matplotlib", reason="needs the study extra: matplotlib")

FORMS = ("direct", "monologue")
STUDY = FormsStudy("forms", seeds=2, forms=FORMS, curve_points=2, curve_problems=1)
# form -> seed -> right answers to the two easy and the two hard functions
RIGHT = {"direct": ("1000", "0000"), "monologue": ("1110", "1100")}
TOKENS = {"direct": 20, "monologue": 100}  # of a record, prompt included


def row(form: str, seed: int, step: int, number: int, right: bool) -> dict:
    return {
        "form": form,
        "seed": seed,
        "step": step,
        "tokens_seen": step * 100,
        "id": f"p{number}",
        "level": "easy" if number < 2 else "hard",
        "steps": 3 if number < 2 else 9,
        "right": right,
        "tokens": 10 if form == "direct" else 30 + number,
        "finish_reason": "length" if number == 3 else "stop",
        "checked": 0 if form == "direct" else 3,
        "contradicted": 0 if form == "direct" else int(not right or (seed, number) == (1, 0)),
        "response": "",
    }


def recipe_of_ten_steps():
    config = read_config("configs/reproduction/forms_cpu.py")
    config.train.num_steps, config.optimizer.warmup_steps = 10, 0
    return parse_study(config)[1]


@pytest.fixture
def cells(tmp_path):
    """Returns cells(heading, form): the cells of that form's row in a section's nth table."""
    (tmp_path / "answers").mkdir()
    for form in FORMS:
        for seed in range(2):
            rows = [row(form, seed, 5, number, form == "direct") for number in (0, 2)]
            rows += [row(form, seed, 10, n, RIGHT[form][seed][n] == "1") for n in range(4)]
            path = tmp_path / "answers" / f"{form}-{seed}.jsonl"
            path.write_text("".join(f"{json.dumps(each)}\n" for each in rows))
    texts = {
        form: {
            "prompt_tokens": 10,
            "response_tokens": TOKENS[form] - 10,
            "records": 25,
            "true_tokens": {"easy": 8, "hard": 9},
        }
        for form in FORMS
    }
    outputs = {"p0": "3", "p1": "3", "p2": "4", "p3": "5"}
    problems = [{"id": id, "output": output} for id, output in outputs.items()]
    (tmp_path / "problems.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in problems))
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    recipe = recipe_of_ten_steps()
    body = forms_report.report(STUDY, recipe, tmp_path).body

    def find(heading: str, first_cell: str, table: int = 0) -> list[str]:
        section = body.split(f"## {heading}\n")[1].split("\n## ")[0]
        rows = re.findall(rf"^\| {re.escape(first_cell)} \| (.*) \|$", section, re.M)
        return [cell.strip() for cell in rows[table].split("|")]

    find.body = body
    return find


def test_right_answers_by_level_and_seed(cells):
    easy, hard, all_levels = cells("Right answers", "`monologue`")
    assert easy.startswith("100.0 (") and hard.startswith("25.0 (")
    assert all_levels.startswith("62.5 (")
    assert cells("Right answers", "`direct`", table=1) == ["50.0 / 0.0", "0.0 / 0.0"]


def test_the_floor_is_the_most_common_output(cells):
    assert "would be right for 100.0 % (easy), 50.0 % (hard) of" in cells.body


def test_differences_are_paired(cells):
    easy, hard = cells("Differences", "`monologue` − `direct`")
    assert easy.startswith("+75.0 (") and hard.startswith("+25.0 (")


def test_lengths_and_steps(cells):
    assert cells("Tokens of an answer", "`monologue`") == ["30", "32", "8", "9", "25.0 %"]
    # 4 answers of 3 steps on each level; 3 wrong answers and a right one have one
    # contradicted step each.
    assert cells("Contradicted steps", "`monologue`") == ["8.3 % of 12", "25.0 % of 12"]
    easy, hard, _ = cells("Contradicted steps", "`monologue`", table=1)
    assert easy.startswith("75.0 (") and hard.startswith("25.0 (")
    assert cells("Contradicted steps", "`monologue`", table=2) == ["50.0 %", "20.0 %", "100.0 %"]


def test_equal_records_read_the_learning_curve(cells):
    """1,000 tokens hold 50 records of 20 tokens, or 10 of 100.

    direct had seen 10 records after 200 of the 500 tokens to its first point, where all answers
    are right: 40 %.
    """
    seen, learnt, *records = cells("What is compared", "`direct`")[-4:]
    assert (seen, learnt, records) == ("0.00M", "0.00M", ["50", "2.00"])
    records, right, equal, then = cells("Equal tokens and equal records", "`direct`")
    assert (records, right, equal, then) == ("50", "25.0 %", "10", "40.0 %")


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (slice(0, 0), "0 of 4 answers at the end"),
        (slice(2, 6), "0 of 2 answers after step 5"),
        (slice(0, 5), "3 of 4 answers at the end"),
    ],
)
def test_missing_answers_are_counted_by_file(cells, tmp_path, keep, message):
    path = tmp_path / "answers" / "monologue-1.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[keep]))
    with pytest.raises(UserError, match=message) as raised:
        forms_report.report(STUDY, recipe_of_ten_steps(), tmp_path)
    assert "delete monologue-1.jsonl" in str(raised.value)


def test_the_spread_of_tokens_is_stated(cells):
    """Every form has seen 1,000 tokens."""
    assert "0.00M to 0.00M, 0.0 % more" in cells.body
