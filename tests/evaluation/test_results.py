"""Compares results with counts by hand; tests JSON round trips and tables."""

import json

import pytest

from data_pipeline.files import FileError
from data_pipeline.verify import CONTRADICTED
from semcoder_jax.evaluation.report import comparison_table, score_table
from semcoder_jax.evaluation.results import (
    ResultError,
    outcomes_by_task,
    read_runs,
    scores,
    write_runs,
)
from semcoder_jax.evaluation.statistics import compare, wilson_interval
from tests.support.answers import BAD, GOOD, MUTE, make_answer, make_claim, make_run


def test_reasoning_is_counted_beside_the_answers():
    """Six monologues: sound and right; sound and wrong; right by a wrong step; wrong by one; one
    that claims nothing; one cut short. Only the answer contradicted is no wrong step."""
    wrong_answer = (*GOOD, make_claim("answer", CONTRADICTED))
    found = scores(
        [
            make_answer("t0", claims=GOOD),
            make_answer("t1", outcome="wrong", claims=wrong_answer),
            make_answer("t2", claims=BAD),
            make_answer("t3", outcome="no answer", claims=(make_claim("flow", CONTRADICTED),)),
            make_answer("t4", claims=MUTE),
            make_answer("t5", outcome="no answer", claims=GOOD, finish_reason="length"),
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
    rows = [make_answer("t0", i, "right" if i < 1 else "wrong") for i in range(4)]
    rows += [make_answer("t1", i, "wrong") for i in range(2)]
    one, two = scores(rows, (1, 2, 3))
    assert (one.k, two.k) == (1, 2)  # t1 has no three samples
    assert one.estimate.value == pytest.approx((1 / 4 + 0) / 2)
    assert two.estimate.value == pytest.approx(((1 - 3 / 6) + 0) / 2)  # 3 of 6 pairs miss it
    assert one.reasoning is None


def test_scores_stand_apart_by_benchmark_variant_and_mode():
    rows = [
        make_answer(),
        make_answer(mode="compat", outcome="wrong"),
        make_answer(variant="direct"),
        make_answer(benchmark="CRUXEval-I"),
    ]
    found = [(s.benchmark, s.variant, s.mode, s.right) for s in scores(rows)]
    assert found == [
        ("CRUXEval-O", "monologue", "fixed", 1),
        ("CRUXEval-O", "monologue", "compat", 0),
        ("CRUXEval-O", "direct", "fixed", 1),
        ("CRUXEval-I", "monologue", "fixed", 1),
    ]


def test_json_there_and_back(tmp_path):
    path = tmp_path / "result.json"
    write_runs(path, [make_run(), make_run(name="other", tokens_per_second=None)])
    assert read_runs(path) == [make_run(), make_run(name="other", tokens_per_second=None)]
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
    shown = score_table([make_run()]).splitlines()
    low, high = wilson_interval(0, 1)
    assert low == 0 and high < 1
    for heading in ("score", "95 % interval", "published", "no wrong step", "right by wrong"):
        assert heading in shown[0]
    for cell in ("CRUXEval-O", "50.0 %", "63.9 %", "1/2", "0.0 %", "1/1", "value 1"):
        assert cell in shown[2]
    plain = make_run(answers=(make_answer(),), scores=scores([make_answer()]), references={})
    assert "published" not in score_table([plain]) and "wrong step" not in score_table([plain])
    both = score_table([make_run(), make_run(model="other")])
    assert "other" in both and "other" not in shown


def test_runs_are_compared_task_by_task():
    a = make_run(answers=tuple(make_answer(f"t{i}", outcome="wrong") for i in range(12)))
    b = make_run(answers=tuple(make_answer(f"t{11 - i}") for i in range(12)))
    key = ("CRUXEval-O", "monologue", "fixed")
    found = compare(outcomes_by_task(a, *key), outcomes_by_task(b, *key))
    shown = comparison_table([(key, found)]).splitlines()[2]
    for cell in ("12", "0.0 %", "100.0 %", "+100.0 %", "0.0005", "B is better"):
        assert cell in shown
    assert "no difference shown" in comparison_table([(key, compare({"a": [1]}, {"a": [1]}))])
