"""Compares CRUXEval with the official scores, upstream's prompts, and answers judged by hand."""

import json

import pytest

from data_pipeline.execution.service import Sandbox
from semcoder_jax.evaluation.benchmarks.cruxeval import (
    CruxEval,
    CruxEvalProblem,
    DataError,
    read_problems,
)
from semcoder_jax.evaluation.harness import Response
from semcoder_jax.evaluation.results import scores

SQUARE = CruxEvalProblem("square", "def f(x):\n    return x * x", "3", "9", "f")
NAMED = CruxEvalProblem("named", "def g(s):\n    return s + s", "'a'", "'aa'", "g")
WORDS = CruxEvalProblem(
    "words", "def f(d):\n    return {'a': 1, 'b': d}", "2", "{'a': 1, 'b': 2}", "f"
)
LAMBDA = CruxEvalProblem("lambda", "def f(g):\n    return g(2)", "(lambda x: x + 1)", "3", "f")
PROBLEMS = (SQUARE, NAMED, WORDS, LAMBDA)


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=2) as made:
        yield made


def outcomes(direction, said, sandbox):
    benchmark = CruxEval(PROBLEMS, direction)
    return [answer.outcome for answer in benchmark.judge(said, sandbox)]


def response(task, mode, answer, **fields):
    text = f"### Conclusion\nSo.\n[/MONOLOGUE]\n\n[ANSWER]\n{answer}\n"
    return Response(task, 0, "monologue", mode, text, "stop", **fields)


def answer_alone(task, mode, answer):
    return Response(task, 0, "direct", mode, answer, is_answer=True)


@pytest.mark.parametrize("direction", ["output", "input"])
def test_prompts_are_those_of_the_release(shared_data, direction):
    wire = json.loads((shared_data / "wire_format.json").read_text())
    problems = read_problems(shared_data / "cruxeval/data/cruxeval.jsonl")
    benchmark = CruxEval(problems, direction)
    name = {"output": "forward", "input": "backward"}[direction]
    assert len(wire[f"cruxeval_{name}"]) > 1
    for row in wire[f"cruxeval_{name}"]:
        assert benchmark.prompt(row["id"], "monologue", "compat") == row["prompt"]


def test_fixed_prompts_keep_the_meaning_of_every_program(shared_data):
    import ast

    problems = read_problems(shared_data / "cruxeval/data/cruxeval.jsonl")
    benchmark = CruxEval(problems, "output")
    broken = 0
    for problem in problems:
        for mode in ("compat", "fixed"):
            block = benchmark.prompt(problem.id, "monologue", mode).split("[PYTHON]\n")[1]
            program, _, asked = block.split("\n[/PYTHON]")[0].rpartition("\nassert ")
            try:
                same = ast.dump(ast.parse(program)) == ast.dump(ast.parse(problem.code))
                call = asked.removesuffix(" == ??")
                same &= ast.dump(ast.parse(call)) == ast.dump(ast.parse(problem.call))
            except SyntaxError:
                same = False
            assert same or mode == "compat", problem.id
            broken += not same
    assert broken >= 7  # upstream's replacement of quotes, see facts of the release


@pytest.mark.parametrize(
    ("task", "answer", "compat", "fixed"),
    [
        ("square", "assert f(3) == 9", "right", "right"),
        ("square", "f(3) == 9", "right", "right"),
        ("square", "assert f(3) == 8", "wrong", "wrong"),
        ("square", "assert f(3) == 9.0", "right", "wrong"),
        ("square", "assert f(3) == 8 or True", "right", "malformed"),
        ("square", "assert f(3) == 3 * 3", "right", "malformed"),
        ("square", "I do not know", "wrong", "malformed"),
        ("square", "", "no answer", "no answer"),
        ("named", 'assert g("a") == "aa"', "right", "right"),
        ("named", """assert g('it's' + '\\n') == 'aa'""", "right", "right"),  # a broken copy
        ("named", "assert g('a' * 1 + '') == 'aa'", "right", "right"),
        ("named", "assert g('a == 'aa' or 'bb'", "right", "malformed"),
        ("words", "assert f(2) == {'b': 2, 'a': 1}", "right", "right"),
    ],
)
def test_outputs(sandbox, task, answer, compat, fixed):
    said = [response(task, mode, answer) for mode in ("compat", "fixed")]
    assert outcomes("output", said, sandbox) == [compat, fixed]


@pytest.mark.parametrize(
    ("task", "answer", "compat", "fixed"),
    [
        ("square", "assert f(-3) == 9", "right", "right"),
        ("square", "assert f(4) == 9", "wrong", "wrong"),
        ("square", "assert f(4) == 16", "wrong", "wrong"),  # its own assertion is not the question
        ("square", "assert f(4) or True == 9", "right", "malformed"),
        ("square", "f(3)", "wrong", "right"),  # upstream leaves a line break before it
        ("square", "f( 3) == 9", "right", "right"),
        ("square", "g(3)", "wrong", "malformed"),
        ("square", "f('a')", "wrong", "exception"),
        ("square", "f(", "wrong", "malformed"),
        ("named", "assert g('a') == 'aa'", "right", "right"),
        ("lambda", "f(lambda y: 3) == 3", "right", "right"),
        ("lambda", "f(lambda y: 4) == 3", "wrong", "wrong"),
        ("lambda", "f(lambda y: 4) or 3 == 3", "right", "malformed"),
    ],
)
def test_inputs(sandbox, task, answer, compat, fixed):
    said = [response(task, mode, answer) for mode in ("compat", "fixed")]
    assert outcomes("input", said, sandbox) == [compat, fixed]


def test_what_the_official_scorer_passes_over(sandbox):
    said = [answer_alone("square", "compat", "f(3)"), answer_alone("square", "fixed", "f(3)")]
    assert outcomes("output", said, sandbox) == ["wrong", "malformed"]
    said = [
        answer_alone("named", "compat", "'f(' or 'aa'"),
        Response("named", 0, "direct", "fixed", None),
    ]
    assert outcomes("input", said, sandbox) == ["wrong", "missing"]


def test_an_expected_value_does_not_reach_the_sandbox_in_fixed(sandbox):
    """An object that is equal to everything."""
    equal = CruxEvalProblem(
        "equal",
        "class E:\n    def __eq__(self, other): return True\ndef f(x):\n    return E()",
        "1",
        "2",
        "f",
    )
    said = [response("equal", mode, "assert f(1) == 2") for mode in ("compat", "fixed")]
    found = [answer.outcome for answer in CruxEval([equal], "input").judge(said, sandbox)]
    assert found == ["right", "wrong"]


def test_files_of_answers_and_of_whole_texts(tmp_path, sandbox):
    benchmark = CruxEval(PROBLEMS, "output")
    asked = {"variants": ("monologue",), "modes": ("compat", "fixed")}
    whole = benchmark.prompt("square", "monologue", "compat")
    whole += "### Conclusion\n[/MONOLOGUE]\n\n[ANSWER]\nassert f(3) == 9\n[/ANSWER]"
    path = tmp_path / "whole.json"
    path.write_text(
        '{"named": ["'
        + "x"
        + '", "y"], "named": ["z"], "gone": ["1"], "square": ['
        + json.dumps(
            whole + "### Conclusion\n[/MONOLOGUE]\n\n[ANSWER]\nassert f(3) == 9\n[/ANSWER]"
        )
        + ", 7]}"
    )
    said, notes = benchmark.read_generations(path, **asked)
    answers = list(benchmark.judge(said, sandbox))
    assert len(answers) == 2 * len(PROBLEMS) * 2  # samples, modes: nothing shrinks
    right = [(a.task, a.sample, a.mode) for a in answers if a.right]
    assert right == [("square", 0, "compat"), ("square", 0, "fixed")]
    missing = [a for a in answers if a.outcome == "missing"]
    assert {a.task for a in missing} == {"square", "words", "lambda"}
    told = " ".join(notes)
    assert "1 ids are in the file more than once" in told
    assert "2 of 4 problems have no generation" in told
    assert "1 ids of the file are not among the 4 tasks scored" in told


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "expected an object"),
        ('{"a": "text"}', "expected an object"),
    ],
)
def test_malformed_files(tmp_path, content, message):
    path = tmp_path / "bad.json"
    path.write_text(content)
    benchmark = CruxEval(PROBLEMS, "output")
    with pytest.raises(DataError, match=message):
        benchmark.read_generations(path, variants=("direct",), modes=("fixed",))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "a", "code": "x = 1", "input": "", "output": "1"}, "'code': expected a function"),
        ({"id": "a", "code": "def f(", "input": "", "output": "1"}, "'code': no Python"),
        ({"id": "a", "code": "def f(): pass", "input": ""}, "'output' is missing"),
    ],
)
def test_malformed_data(tmp_path, row, message):
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=message):
        read_problems(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("direction", "right", "published_at_5"), [("output", 2737, 40.3), ("input", 2876, 45.0)]
)
def test_official_samples_score_as_published(
    shared_data, sandbox, direction, right, published_at_5
):
    """CodeLlama-7B: pass@1 34.2125 and 35.95 of 8,000 answers, and each verdict by itself.

    pass@5 is that of lm-evaluation-harness's table, which takes these samples (T 0.2).
    """
    folder = shared_data / "cruxeval"
    benchmark = CruxEval(read_problems(folder / "data/cruxeval.jsonl"), direction)
    name = f"sample_codellama-7b_temp0.2_{direction}"
    said, notes = benchmark.read_generations(
        folder / "samples/model_generations" / name / "generations.json",
        variants=("direct",),
        modes=("compat",),
    )
    assert not notes
    official = json.loads(
        (
            folder
            / "samples/evaluation_results"
            / f"sample_scored_codellama-7b_temp0.2_{direction}.json"
        ).read_text()
    )
    answers = list(benchmark.judge(said, sandbox))
    verdicts = official["raw_scored_generations"]
    assert [a.right for a in answers] == [verdicts[a.task][a.sample] for a in answers]
    assert sum(a.right for a in answers) == right
    at_1, at_5 = (100 * score.estimate.value for score in scores(answers, (1, 5)))
    assert at_1 == pytest.approx(official["pass_at_1"], abs=1e-9)
    assert at_5 == pytest.approx(official["pass_at_5"], abs=1e-9)
    assert round(at_5, 1) == published_at_5


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("4", True),
        ("4, 'a message'", True),
        ("5, 'a message'", False),
        ("4  # a comment", True),
        ("4\nx = 1", True),
        ("4 or True", True),
        ("5 or True", True),
        ("4)", False),
        ("4\nraise SystemExit", False),
        ("exit()", False),
    ],
)
def test_compat_runs_the_assertion_as_a_statement(sandbox, answer, right):
    """Expected by hand: what Python makes of `assert 4 == <answer>` behind the program."""
    problem = CruxEvalProblem("a", "def f(x):\n    return x + 1", "3", "4", "f")
    said = Response("a", 0, "direct", "compat", answer, is_answer=True)
    (judged,) = CruxEval([problem], "output").judge([said], sandbox)
    assert judged.right is right
