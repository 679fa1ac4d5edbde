"""Evaluation: answers read and judged, honest counts, a store that survives, one-line errors."""

import dataclasses
import json
import math

import pytest

from data_pipeline.monologue.forward import direct_answer, forward_monologue
from data_pipeline.prompts import forward_prompt
from semcoder_jax import evaluate as evaluation
from semcoder_jax.checkpoints import load_model
from semcoder_jax.evaluate import (
    EvaluateError,
    evaluate,
    extract_answer,
    judge,
    main,
    read_problems,
    result_to_json,
    scores_table,
    worked_example,
)
from semcoder_jax.generations import GenerationStore
from semcoder_jax.sampling import Generation, SamplingParams, generate
from tests.tiny_checkpoint import random_runs, write_checkpoint

CONFIG = "--config=configs/eval/heldout.py"


@pytest.fixture(scope="module")
def problems_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("problems") / "problems.jsonl"
    rows = [
        {"id": f"p{i}", "program": run.program, "call": run.call, "output": run.result}
        for i, run in enumerate(random_runs(6, seed=3))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def problems(problems_file):
    return read_problems(problems_file)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("evaluate") / "checkpoint", max_positions=1024)


# ---- answers


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("[ANSWER]\nassert f(x=1) == 7\n[/ANSWER]", "7"),
        ("[ANSWER]\nassert f(x=1) == 7", "7"),
        ("[ANSWER]\nf(1) == [1, 2]\n[/ANSWER] and more == 3", "[1, 2]"),
        ("[ANSWER] 3 [/ANSWER]\n[ANSWER]\nassert f() == 'a == b'\n[/ANSWER]", "'a == b'"),
        ("[ANSWER]\nassert f('a == b', [1 == 2]) == 4\n[/ANSWER]", "4"),
        ("[ANSWER]\nassert f(1) == 8 or True\n[/ANSWER]", "8 or True"),
        ("assert f(1) == 7", None),
        ("[ANSWER]\n7\n[/ANSWER]", None),
        ("[ANSWER]\nassert f(1) ==\n[/ANSWER]", None),
        ("[ANSWER]\nassert f('== 7\n[/ANSWER]", None),
        ("", None),
    ],
)
def test_the_answer_is_right_of_the_assertions_own_equals(response, answer):
    assert extract_answer(response, finished=True) == answer


def test_an_answer_that_was_cut_is_no_answer():
    assert extract_answer("[ANSWER]\nassert f(1) == 12", finished=False) is None
    assert extract_answer("[ANSWER]\nassert f(1) == 12\n[/ANSWER]", finished=False) == "12"


def single_problem(tmp_path, output):
    program = f"def f(x):\n    return {output}"
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps({"id": "a", "program": program, "call": "f(1)", "output": output}))
    return read_problems(path)[0]


@pytest.mark.parametrize(
    ("output", "answer", "right"),
    [
        ("3", "3", True),
        ("3", "3.0", False),
        ("1", "True", False),
        ("8", "8 or True", False),
        ("3", "1 + 2", False),
        ("'a'", '"a"', True),
        ("[1, 2]", "[1,2]", True),
        ("[1, 2]", "(1, 2)", False),
        ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}", True),
        ("3", "f(1)", False),
        ("3", "3 # sure", True),
    ],
)
def test_a_right_answer_has_the_value_and_its_type(output, answer, right, tmp_path):
    problem = single_problem(tmp_path, output)
    text = f"assert f(1) == {answer}\n"
    assert judge(problem, "direct", Generation(text, (), "stop")).right is right


# ---- scores


def test_counts_of_known_generations(problems, tmp_path):
    """Two true monologues, one wrong step under a right answer, one wrong answer, one without
    answer, one without steps; direct: all right but one."""
    texts = [
        forward_monologue(problem.trace).removeprefix("[MONOLOGUE]\n").split("[/ANSWER]")[0]
        for problem in problems
    ]
    answer = f" == {problems[3].output}\n"
    texts[2] = texts[2].replace("1. [L6]", "1. [L99]")
    texts[3] = texts[3].replace(answer, " == 'something else'\n")
    texts[4] = "no idea"
    texts[5] = "[ANSWER]\n" + direct_answer(problems[5].trace).split("[/ANSWER]")[0]
    direct = [direct_answer(problem.trace).split("[/ANSWER]")[0] for problem in problems]
    direct[0] = "assert f("
    with GenerationStore(tmp_path / "store.jsonl", {}) as store:
        for mode, rows in (("monologue", texts), ("direct", direct)):
            for problem, text in zip(problems, rows, strict=True):
                store.append({"id": f"{mode}/{problem.id}", "text": text, "finish_reason": "stop"})
        # Everything is in the store: no model is asked.
        result = evaluate(None, problems, store=store, progress=None)
    with_monologue, without = result.score("monologue"), result.score("direct")
    assert dataclasses.astuple(with_monologue) == ("monologue", 6, 4, 1, 3)
    assert dataclasses.astuple(without) == ("direct", 6, 5, 1, None)
    assert [j.sound for j in result.judgements[:6]] == [True, True, False, True, False, False]
    assert [j.right for j in result.judgements[:6]] == [True, True, True, False, False, True]
    assert with_monologue.accuracy == pytest.approx(4 / 6)
    assert result.tokens_per_second is None
    shown = scores_table(result)
    rows = [line.replace(" %", "%").split() for line in shown.splitlines()[2:]]
    assert rows[0] == ["monologue", "4/6", "66.7%", "30.0–90.3%", "1", "50.0%"]
    assert rows[1] == ["direct", "5/6", "83.3%", "43.6–97.0%", "1", "–"]
    example = worked_example(result)
    assert problems[0].program.strip() in example and "right" in example
    steps = forward_monologue(problems[0].trace).count(". [L")
    assert example.count("✓") >= steps and "✗" not in example
    row = result_to_json(result)["answers"][3]
    assert row["right"] is False and row["answer"] == "'something else'"
    json.dumps(result_to_json(result), allow_nan=False)


def test_generations_are_the_models_own(problems, checkpoint, tmp_path):
    model = load_model(checkpoint)
    params = SamplingParams(max_new_tokens=12)
    result = evaluate(model, problems[:2], params=params, answer_modes=["direct"], progress=None)
    prompts = [forward_prompt(p.program, p.call, answer_mode="direct") for p in problems[:2]]
    expected = generate(model, prompts, params, progress=None)
    for judgement, generation in zip(result.judgements, expected, strict=True):
        assert judgement.response == "[ANSWER]\n" + generation.text.split("[/ANSWER]")[0]
    assert result.tokens_per_second > 0
    assert not math.isnan(result.score("direct").accuracy)


# ---- the command


def arguments(checkpoint, problems_file, tmp_path):
    return [
        "evaluate",
        CONFIG,
        f"--checkpoint={checkpoint}",
        f"--workdir={tmp_path / 'work'}",
        f"--config.data={problems_file}",
        "--config.sampling.max_new_tokens=12",
    ]


def test_a_killed_evaluation_goes_on(checkpoint, problems_file, tmp_path, monkeypatch, capsys):
    line = [*arguments(checkpoint, problems_file, tmp_path), f"--json={tmp_path / 'r.json'}"]
    real_stream, asked = evaluation.stream, []

    def interrupted(model, prompts, params, **kwargs):
        for n, item in enumerate(real_stream(model, prompts, params, **kwargs)):
            if n == 4:
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr(evaluation, "stream", interrupted)
    assert main(line) == 130

    def counted(model, prompts, params, **kwargs):
        asked.extend(prompts)
        return real_stream(model, prompts, params, **kwargs)

    monkeypatch.setattr(evaluation, "stream", counted)
    assert main(line) == 0
    assert len(asked) == 2 + 6  # what was left of the monologues, and the direct answers
    result = json.loads((tmp_path / "r.json").read_text())
    assert [score["total"] for score in result["scores"]] == [6, 6]
    assert [row["id"] for row in result["answers"]] == [f"p{i}" for i in range(6)] * 2
    shown = capsys.readouterr().out
    assert "monologue" in shown and "95 % interval" in shown
    asked.clear()
    assert main(line) == 0 and asked == []
    assert json.loads((tmp_path / "r.json").read_text())["answers"] == result["answers"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("--config.data=missing.jsonl", "missing.jsonl: No such file"),
        ("--checkpoint=nowhere", "nowhere: no such directory"),
        ("--config.wat=1", "wat"),
        ("--wat=1", "wat"),
        ("extra", "unexpected argument 'extra'"),
        ("--config=missing.py", "missing.py"),
        ("--config.batch_size=0", "config.batch_size=0"),
        ("--config.answer_modes=('spoken',)", "config.answer_modes"),
        ("--config.sampling.temperature=-1.0", "temperature=-1.0"),
        ("--json=no/such/dir/r.json", "--json=no/such/dir/r.json"),
    ],
)
def test_a_mistake_is_one_clear_line(change, message, checkpoint, problems_file, tmp_path, capsys):
    line = arguments(checkpoint, problems_file, tmp_path)
    name = change.split("=")[0]
    line = [argument for argument in line if argument.split("=")[0] != name]
    assert main([*line, change]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", ":1: not JSON"),
        ('{"id": "a"}', ":1: expected an object with exactly id, program, call, output"),
        (
            json.dumps({"id": "a", "program": "def f(x):\n    return x", "call": "f(1)"})[:-1]
            + ', "output": "2"}',
            ":1: field 'output': 2, but the run gives 1",
        ),
        (
            json.dumps({"id": "a", "program": "def f(:", "call": "f(1)", "output": "2"}),
            ":1: field 'program' or 'call':",
        ),
        (
            json.dumps({"id": "a", "program": "def f(x):\n    return x/0", "call": "f(1)"})[:-1]
            + ', "output": "2"}',
            ":1: field 'output': 2, but the run gives raises ZeroDivisionError",
        ),
        (
            json.dumps({"id": "a", "program": "def f(x):\n    return x", "call": "f(1)"})[:-1]
            + ', "output": ""}',
            ":1: field 'output': expected a non-empty string",
        ),
    ],
)
def test_a_bad_problem_is_named_by_file_line_and_field(row, message, tmp_path):
    path = tmp_path / "problems.jsonl"
    path.write_text(row + "\n")
    with pytest.raises(EvaluateError) as raised:
        read_problems(path)
    assert str(raised.value).startswith(f"{path}{message}")
    assert "\n" not in str(raised.value)


def test_problems_twice_or_none_are_errors(problems_file, tmp_path):
    path = tmp_path / "problems.jsonl"
    path.write_text(problems_file.read_text() * 2)
    with pytest.raises(EvaluateError, match=r"problems.jsonl:7: field 'id': 'p0' is there twice"):
        read_problems(path)
    assert len(read_problems(path, limit=3)) == 3
    path.write_text("\n")
    with pytest.raises(EvaluateError, match="no problems"):
        read_problems(path)
