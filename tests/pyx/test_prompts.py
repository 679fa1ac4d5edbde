"""Compares prompts with the release's byte by byte, and tests that `fixed` keeps their meaning."""

import ast
import gzip
import hashlib
import json

import pytest

from data_pipeline.pyx import prompts
from data_pipeline.pyx.prompts import PromptError
from data_pipeline.pyx.records import PyXRecord, RefineRecord, make_record


@pytest.fixture(scope="module")
def wire(shared_data):
    return json.loads((shared_data / "wire_format.json").read_text())


@pytest.fixture(scope="module")
def cruxeval(shared_data):
    lines = (shared_data / "cruxeval/data/cruxeval.jsonl").read_text().splitlines()
    return {row["id"]: row for row in map(json.loads, lines)}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("kind", ["nl", "fwd_mnl", "bwd_mnl", "fault"])
def test_training_prompts_are_upstreams(wire, kind):
    # The text holds format characters and the template's own words: it must come through as it is.
    text = "{problem} {0} %s <the record's nl>\n\n<Code>\n"
    template = wire["training_prompt_by_record_field"][kind]
    before, after = template.split(f"<the record's {kind}>")
    prompt = prompts.training_prompt(make_record("a", kind, text, "r"))
    assert prompt == f"{before}{text}{after}"


def test_every_cruxeval_prompt_is_upstreams(wire, cruxeval):
    forward = {
        id: prompts.forward_prompt(row["code"], f"f({row['input']})", mode="compat")
        for id, row in cruxeval.items()
    }
    backward = {
        id: prompts.backward_prompt(row["code"], row["output"], mode="compat")
        for id, row in cruxeval.items()
    }
    for name, ours in (("forward", forward), ("backward", backward)):
        for golden in wire[f"cruxeval_{name}"]:
            assert ours[golden["id"]] == golden["prompt"]
        hashes = wire[f"sha256_of_every_cruxeval_{name}_prompt"]
        assert {id: sha256(prompt) for id, prompt in ours.items()} == hashes
        assert len(hashes) == 800


def test_refine_prompt_is_upstreams(wire):
    template = wire["refine_prompt_with_fields_left_open"]
    parts = {"problem": "{code}", "code": "def f():\n    {error}", "error": "assert {problem}"}
    ours = prompts.refine_prompt(**parts)
    assert ours == template.format(**parts)
    record = RefineRecord("a", prompts.refine_field(**parts), "r")
    assert prompts.training_prompt(record) == ours


def test_code_generation_prompts_are_upstreams(wire, shared_data):
    sources = {
        "humaneval": ("humanevalplus/HumanEvalPlus.jsonl.gz", prompts.humaneval_prompt),
        "mbpp": ("mbppplus/MbppPlus.jsonl.gz", prompts.mbpp_prompt),
    }
    for name, (file, render) in sources.items():
        with gzip.open(shared_data / file, "rt") as lines:
            problems = {row["task_id"]: row["prompt"] for row in map(json.loads, lines)}
        assert [render(problems[golden["task_id"]]) for golden in wire[name]] == [
            golden["prompt"] for golden in wire[name]
        ]
        for problem in problems.values():
            assert render(problem).endswith(problem.strip() if name == "humaneval" else "```python")


def test_mbpp_text_ends_in_one_full_stop():
    for text in ("Write it", "Write it."):
        prompt = prompts.mbpp_prompt(f'"""\n{text}\nassert f(1) == 2\n"""\n')
        expected = (
            "Write it. Your code should satisfy the following assertion:\n"
            "```python\nassert f(1) == 2\n```\n\n<Code>\n```python"
        )
        assert prompt.endswith(expected)
    for bad in ("Write it.\nassert f(1) == 2", '"""Write it."""', '"""'):
        with pytest.raises(PromptError, match="MBPP"):
            prompts.mbpp_prompt(bad)


@pytest.mark.parametrize("mode", ["compat", "fixed"])
@pytest.mark.parametrize("answer_mode", ["monologue", "direct"])
def test_training_and_evaluation_ask_in_the_same_bytes(mode, answer_mode):
    modes = {"mode": mode, "answer_mode": answer_mode}
    code, call, output = "def g(s):\n\n    return s + '!'", "g('a')", "'a!'"
    forward = PyXRecord("a", "", prompts.forward_field(code, call, **modes), "", "r")
    backward = PyXRecord(
        "a", "", "", prompts.backward_field(code, output, function="g", **modes), "r"
    )
    assert prompts.training_prompt(forward) == prompts.forward_prompt(code, call, **modes)
    assert prompts.training_prompt(backward) == prompts.backward_prompt(
        code, output, function="g", **modes
    )


def test_direct_answers_are_opened_in_place_of_the_monologue():
    code, call = "def f(x):\n    return x", "f(1)"
    for ask, argument in ((prompts.forward_prompt, call), (prompts.backward_prompt, "1")):
        for mode in ("compat", "fixed"):
            monologue = ask(code, argument, mode=mode)
            direct = ask(code, argument, answer_mode="direct", mode=mode)
            assert monologue.endswith("[MONOLOGUE]\n")
            assert direct == monologue.removesuffix("[MONOLOGUE]\n") + "[ANSWER]\n"


def test_fixed_blocks_by_hand():
    code = "def f(s):\n\n    return s + 'a'"
    forward = prompts.forward_field(code, "f('b')")
    assert forward == (
        "[PYTHON]\ndef f(s): # [L5]\n\n    return s + 'a' # [L7]\n"
        "assert f('b') == ??\n[/PYTHON]\n[MONOLOGUE]"
    )
    assert prompts.backward_field(code, "'ba'") == (
        f"[PYTHON]\n{code}\nassert f(??) == 'ba'\n[/PYTHON]\n[MONOLOGUE]"
    )


def test_fixed_asks_about_the_program_itself(cruxeval):
    for row in cruxeval.values():
        prompt = prompts.forward_prompt(row["code"], f"f({row['input']})")
        block = prompt.partition("[PYTHON]\n")[2].partition("\n[/PYTHON]")[0]
        shown = block.replace(" == ??", f" == {row['output']}")
        whole = f"{row['code']}\nassert f({row['input']}) == {row['output']}"
        assert ast.dump(ast.parse(shown)) == ast.dump(ast.parse(whole))


def test_fixed_labels_no_line_whose_end_is_not_code():
    code = (
        'def f():\n    """Two\n    lines."""\n    x = 1 + \\\n        2\n'
        '    return ("a"\n        "b")'
    )
    labelled = prompts.label_lines(code)
    assert ast.dump(ast.parse(labelled)) == ast.dump(ast.parse(code))
    has_label = [f"# [L{number}]" in labelled for number in range(5, 12)]
    assert has_label == [True, False, True, False, True, True, True]
    assert prompts.label_lines(code, "compat").count("# [L") == 7


def test_a_program_that_does_not_parse_is_labelled_throughout():
    assert prompts.label_lines("def f(:\n  \n\treturn") == "def f(: # [L5]\n  \n\treturn # [L7]"


def test_unknown_modes_are_refused():
    with pytest.raises(PromptError, match="mode: expected one of compat, fixed; got 'exact'"):
        prompts.forward_prompt("x", "f()", mode="exact")
    with pytest.raises(PromptError, match="answer_mode: expected one of monologue, direct"):
        prompts.backward_prompt("x", "1", answer_mode="cot")
