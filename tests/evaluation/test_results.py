"""Counts of known answers by hand; JSON there and back; tables."""

import json

import pytest

from data_pipeline.files import FileError
from data_pipeline.verify import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, Claim
from semcoder_jax.evaluation.report import comparison_table, score_table
from semcoder_jax.evaluation.results import (
    Answer,
    Reference,
    ResultError,
    Run,
    outcomes_by_task,
    read_runs,
    scores,
    write_runs,
)
from semcoder_jax.evaluation.statistics import compare, wilson_interval


def answer(task="t0", sample=0, outcome="right", claims=None, **changes) -> Answer:
    fields = dict(
        task=task, sample=sample, benchmark="CRUXEval-O", variant="monologue", mode="fixed",
        outcome=outcome, answer="1", question="def f(): …", expected="1", detail="", text="…",
        finish_reason="stop", claims=claims,
    )  # fmt: skip
    return Answer(**{**fields, **changes})


def claim(kind: str, verdict: str) -> Claim:
    return Claim(1, kind, "x=1", verdict, "x=2")


GOOD = (claim("flow", CONFIRMED), claim("value", CONFIRMED))
BAD = (claim("flow", CONFIRMED), claim("value", CONTRADICTED), claim("flow", CONTRADICTED))
MUTE = (claim("value", NOT_CHECKABLE), claim("answer", CONFIRMED))


def test_reasoning_is_counted_beside_the_answers():
    """Six monologues: sound and right; sound and wrong; right by a wrong step; wrong by one; one
    that claims nothing; one cut short. Only the answer contradicted is no wrong step."""
    wrong_answer = (*GOOD, claim("answer", CONTRADICTED))
    found = scores(
        [
            answer("t0", claims=GOOD),
            answer("t1", outcome="wrong", claims=wrong_answer),
            answer("t2", claims=BAD),
            answer("t3", outcome="no answer", claims=(claim("flow", CONTRADICTED),)),
            answer("t4", claims=MUTE),
            answer("t5", outcome="no answer", claims=GOOD, finish_reason="length"),
        ]
    )
    (score,) = found
    assert score.estimate.value == pytest.approx(3 / 6) and score.estimate.tasks == 6
    assert score.outcomes == {"right": 3, "no answer": 2, "wrong": 1}
    reasoning = score.reasoning
    assert (reasoning.monologues, reasoning.sound, reasoning.unchecked) == (6, 2, 1)
    assert reasoning.right_by_wrong == 1
    assert reasoning.first_wrong == {"value": 1, "flow": 1}


def test_pass_at_k_is_a_mean_over_tasks_not_over_samples():
    rows = [answer("t0", i, "right" if i < 1 else "wrong") for i in range(4)]
    rows += [answer("t1", i, "wrong") for i in range(2)]
    one, two = scores(rows, (1, 2, 3))
    assert (one.k, two.k) == (1, 2)  # t1 has no three samples
    assert one.estimate.value == pytest.approx((1 / 4 + 0) / 2)
    assert two.estimate.value == pytest.approx(((1 - 3 / 6) + 0) / 2)  # 3 of 6 pairs miss it
    assert one.reasoning is None


def test_scores_stand_apart_by_benchmark_variant_and_mode():
    rows = [
        answer(),
        answer(mode="compat", outcome="wrong"),
        answer(variant="direct"),
        answer(benchmark="CRUXEval-I"),
    ]
    found = [(s.benchmark, s.variant, s.mode, s.right) for s in scores(rows)]
    assert found == [
        ("CRUXEval-O", "monologue", "fixed", 1),
        ("CRUXEval-O", "monologue", "compat", 0),
        ("CRUXEval-O", "direct", "fixed", 1),
        ("CRUXEval-I", "monologue", "fixed", 1),
    ]


def a_run(**changes) -> Run:
    rows = (answer("t0", claims=BAD), answer("t1", outcome="wrong", text="half a pair \ud83d <&"))
    fields = dict(
        name="cruxeval_output", model="m", identity={"data": "abc"}, answers=rows,
        scores=scores(rows), notes=("1 id names no task",), tokens_per_second=12.5,
        references={"CRUXEval-O": (Reference("SemCoder-S", 0.639, "the paper"),)},
    )  # fmt: skip
    return Run(**{**fields, **changes})


def test_json_there_and_back(tmp_path):
    path = tmp_path / "result.json"
    write_runs(path, [a_run(), a_run(name="other", tokens_per_second=None)])
    assert read_runs(path) == [a_run(), a_run(name="other", tokens_per_second=None)]
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("{", "not JSON"),
        ("[]", "expected the JSON of an evaluation"),
        ('{"runs": [{}]}', "run 1: expected a result of an evaluation"),
        ('{"runs": [{"format": 1}]}', "run 1: not a whole result"),
    ],
)
def test_a_file_that_is_no_result_is_named(content, message, tmp_path):
    path = tmp_path / "r.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ResultError, match=message) as raised:
        read_runs(path)
    assert str(raised.value).startswith(str(path)) and "\n" not in str(raised.value)


def test_results_that_cannot_be_written_are_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file: expected a folder"):
        write_runs(tmp_path / "file" / "r.json", [])


def test_the_table_has_the_published_figure_and_the_reasoning():
    shown = score_table([a_run()]).splitlines()
    low, high = wilson_interval(0, 1)
    assert low == 0 and high < 1
    for heading in ("score", "95 % interval", "published", "no wrong step", "right by wrong"):
        assert heading in shown[0]
    for cell in ("CRUXEval-O", "50.0 %", "63.9 %", "1/2", "0.0 %", "1/1", "value 1"):
        assert cell in shown[2]
    plain = a_run(answers=(answer(),), scores=scores([answer()]), references={})
    assert "published" not in score_table([plain]) and "wrong step" not in score_table([plain])
    both = score_table([a_run(), a_run(model="other")])
    assert "other" in both and "other" not in shown


def test_runs_are_compared_task_by_task():
    a = a_run(answers=tuple(answer(f"t{i}", outcome="wrong") for i in range(12)))
    b = a_run(answers=tuple(answer(f"t{11 - i}") for i in range(12)))
    key = ("CRUXEval-O", "monologue", "fixed")
    found = compare(outcomes_by_task(a, *key), outcomes_by_task(b, *key))
    shown = comparison_table([(key, found)]).splitlines()[2]
    for cell in ("12", "0.0 %", "100.0 %", "+100.0 %", "0.0005", "B is better"):
        assert cell in shown
    assert "no difference shown" in comparison_table([(key, compare({"a": [1]}, {"a": [1]}))])
