"""Tests the ceiling and the floor of every reward: references get all, built-wrong answers none."""

import re

import numpy as np
import pytest

from data_pipeline.execution.service import Sandbox
from data_pipeline.monologue.backward import backward_monologue
from data_pipeline.monologue.forward import forward_monologue
from data_pipeline.monologue.inline import direct_answer, inline_monologue
from data_pipeline.pyx.prompts import backward_field, code_field, forward_field, refine_field
from data_pipeline.pyx.records import TRAINING_KINDS, make_record
from data_pipeline.tracing import trace_call
from semcoder_jax.config import REWARD_TERMS, ConfigError, parse_run
from semcoder_jax.reinforcement.judging import SandboxJudge
from semcoder_jax.reinforcement.prompts import _REWARDED, Prompt
from semcoder_jax.reinforcement.questions import hidden_tests, read_question
from semcoder_jax.reinforcement.rewards import TERMS
from semcoder_jax.reinforcement.rollouts import Rollout
from tests.support.byte_tokenizer import byte_tokenizer
from tests.support.tiny_run import tiny_config

BUDGET = 4000
TOKENIZER = byte_tokenizer()
WEIGHTS = dict.fromkeys(REWARD_TERMS, 1.0)
PROGRAM = """\
def f(xs, n):
    total = 0
    for x in xs:
        if x > n:
            total += x
    return total"""
CALL = "f([1, 5, 7], 3)"
RUN = trace_call(PROGRAM, CALL)
ADD = "def add(a, b):\n    return a + b"
FORWARD = make_record(
    "fwd_mnl_s1_ipt0", "fwd_mnl", forward_field(PROGRAM, CALL), forward_monologue(RUN)
)
INLINE = make_record(
    "fwd_mnl_s1_ipt1", "fwd_mnl", forward_field(PROGRAM, CALL), inline_monologue(RUN)
)
DIRECT = make_record(
    "fwd_dir_s1_ipt0",
    "fwd_mnl",
    forward_field(PROGRAM, CALL, answer_mode="direct"),
    direct_answer(RUN),
)
BACKWARD = make_record(
    "bwd_mnl_s1_ipt0", "bwd_mnl", backward_field(PROGRAM, "12"), backward_monologue(RUN, CALL)
)
CODE = make_record(
    "nl_s2_ipt0", "nl", code_field("Add two numbers", "assert add(1, 2) == 3"),
    f"```python\n{ADD}\n```",
)  # fmt: skip
HIDDEN = make_record(
    "fwd_mnl_s2_ipt4", "fwd_mnl", forward_field(ADD, "add(5, 5)"),
    forward_monologue(trace_call(ADD, "add(5, 5)")),
)  # fmt: skip
REFINE = make_record(
    "fault_1", "fault",
    refine_field("Add two numbers.", ADD.replace("+", "-"), "assert add(1, 2) == 3"),
    f"The sign is wrong.\n\n[Refined]\n```python\n{ADD}\n```\n[/Refined]",
)  # fmt: skip
RECORDS = [FORWARD, INLINE, DIRECT, BACKWARD, CODE, REFINE]
TRUTH = {"answer", "steps", "first_wrong_step"}
APPLY = {
    FORWARD.id: TRUTH, INLINE.id: TRUTH, DIRECT.id: {"answer"}, BACKWARD.id: TRUTH,
    CODE.id: {"tests"}, REFINE.id: {"tests"},
}  # fmt: skip


@pytest.fixture(scope="module")
def judge():
    hidden = hidden_tests([FORWARD, INLINE, DIRECT, HIDDEN])
    with SandboxJudge(WEIGHTS, BUDGET, hidden, Sandbox(workers=1)) as judge:
        yield judge


def rollout_of(record, text, finished=True, count=None) -> Rollout:
    tokens = np.array(TOKENIZER(text)["input_ids"] if count is None else [0] * count, np.int32)
    prompt = Prompt(record, 1 + TRAINING_KINDS.index("forward"), np.zeros(1, np.int32))
    return Rollout(prompt, tokens, np.zeros(len(tokens), np.float32), text, finished, TOKENIZER)


def judged(judge, record, *texts, **options):
    rollouts = [rollout_of(record, text, **options) for text in texts]
    [group] = judge([record], [rollouts])
    return group


def test_every_reference_gets_all_of_every_term(judge):
    groups = [[rollout_of(record, record.response)] for record in RECORDS]
    for record, [one] in zip(RECORDS, judge(RECORDS, groups), strict=True):
        assert set(one.terms) == APPLY[record.id] | {"format", "length"}, record.id
        assert set(one.terms.values()) == {1.0} and one.reward == 1.0, (record.id, one)
        assert one.first_wrong is None


def test_a_wrong_answer_gets_none(judge):
    [one] = judged(judge, DIRECT, "assert f([1, 5, 7], 3) == 13\n[/ANSWER]")
    assert one.terms["answer"] == 0.0 and one.answer == "13"
    same_but_type = judged(judge, DIRECT, "assert f([1, 5, 7], 3) == 12.0\n[/ANSWER]")
    assert same_but_type[0].terms["answer"] == 0.0
    other, right = judged(
        judge,
        BACKWARD,
        *(BACKWARD.response.replace(CALL, call) for call in ("f([1, 5], 3)", "f([12], 0)")),
    )
    assert (other.terms["answer"], right.terms["answer"]) == (0.0, 1.0)


@pytest.mark.parametrize(
    "call", ["exit()", "f.__class__('', 0)", "f([12], print(1) or 0)", "12", "f(", ""]
)
def test_a_call_that_may_not_run_is_a_wrong_answer(judge, call):
    text = BACKWARD.response.replace(CALL, call)
    [one] = judged(judge, BACKWARD, text)
    assert one.terms["answer"] == 0.0


def test_wrong_steps_earn_nothing_and_those_after_the_first_neither(judge):
    """Each step's last number, and each decision, is made false."""
    wrong = re.sub(r"(?m)^(\d+\. .*=)\d+\.$", r"\g<1>99.", INLINE.response)
    wrong = re.sub(r"is (True|False)\.", lambda m: f"is {m[1] == 'False'}.", wrong)
    wrong = re.sub(r"(?m)^(\d+\. .*iteration) \d+ of .*$", r"\g<1> 99 of xs=[9] gives x=99.", wrong)
    wrong = wrong.replace("The function returns 12", "The function returns 99")
    [one] = judged(judge, INLINE, wrong)
    assert one.terms["steps"] <= 0.1 and one.terms["first_wrong_step"] == 0.0
    assert one.terms["answer"] == 1.0  # the assertion is right
    late, early = judged(
        judge,
        INLINE,
        INLINE.response.replace("The function returns 12", "The function returns 13"),
        re.sub(r"total=0\.", "total=1.", INLINE.response, count=1),
    )
    assert late.terms["steps"] == early.terms["steps"] < 1.0
    assert 0.8 < late.terms["first_wrong_step"] < 1.0
    assert early.terms["first_wrong_step"] == 0.0


@pytest.mark.parametrize(
    "monologue",
    [
        "",
        "It works.\n",
        "The function returns 12.\n",
        "1. [L6] total = 0 gives total=0.\n",
        "1. [L6] total = 0 gives total=0.\n" * 9,
        "[L6] sets `total` to 0.\n" * 9,
        "The function returns 12.\n" * 9,
        "".join(f"{number}. The function returns 12.\n" for number in range(1, 10)),
    ],
)
def test_saying_little_earns_little(judge, monologue):
    """The cheapest monologue without a wrong step, however often it says it, is not a good one."""
    text = f"{monologue}[/MONOLOGUE]\n\n[ANSWER]\n{direct_answer(RUN)}"
    [one] = judged(judge, FORWARD, text)
    assert one.terms["steps"] <= 0.34 and one.terms["first_wrong_step"] <= 0.34


def test_the_first_wrong_step_is_located_to_its_token(judge):
    """A byte is a token here: the token's number is the character's."""
    text = INLINE.response.replace("total=5", "total=6", 1)
    place = text.index("total=6")
    [one] = judged(judge, INLINE, text)
    assert one.first_wrong == text.rindex("\n", 0, place) + 1
    assert "total" in one.finding
    [wrong_answer] = judged(judge, INLINE, INLINE.response.replace("== 12", "== 11"))
    assert wrong_answer.first_wrong == INLINE.response.index("assert f(")


@pytest.mark.parametrize(
    ("record", "old", "new"),
    [
        (FORWARD, "[/MONOLOGUE]", ""),
        (FORWARD, "[/ANSWER]", ""),
        (FORWARD, "[ANSWER]", "[ANSWER] [ANSWER]"),
        (FORWARD, "assert f(", "assert g("),
        (DIRECT, "assert", "assert it"),
        (BACKWARD, "== 12\n[/ANSWER]", "== 13\n[/ANSWER]"),
        (CODE, "return", "retrun a +"),
        (REFINE, "```", ""),
    ],
)
def test_another_form_gets_none(judge, record, old, new):
    assert old in record.response
    [one] = judged(judge, record, record.response.replace(old, new))
    assert one.terms["format"] == 0.0


def test_long_answers_lose_and_cut_ones_get_none(judge):
    values = [
        judged(judge, DIRECT, DIRECT.response, count=count)[0].terms["length"]
        for count in (1, 3000, 3500, 4000)
    ]
    assert values == [1.0, 1.0, 0.5, 0.0]
    [cut] = judged(judge, DIRECT, DIRECT.response, finished=False)
    assert cut.terms["length"] == cut.terms["format"] == 0.0


def test_programs_are_judged_by_shown_and_hidden_tests(judge):
    programs = {
        "a + b": 1.0,
        "3": 0.5,  # knows the shown test
        "a - b": 0.0,
        "a.b": 0.0,
        "exit(0)": 0.0,
    }
    texts = [f"```python\ndef add(a, b):\n    return {body}\n```" for body in programs]
    found = [one.terms["tests"] for one in judged(judge, CODE, *texts, "", "no program")]
    assert found == [*programs.values(), 0.0, 0.0]
    [bad] = judged(judge, REFINE, REFINE.response.replace("a + b", "a - b"))
    assert bad.terms["tests"] == 0.0


def test_upstreams_backward_form_is_read():
    record = make_record(
        "bwd_mnl_1_ipt0", "bwd_mnl", backward_field(PROGRAM, "12", mode="compat"), "x"
    )
    question = read_question(record)
    assert (question.program, question.function, question.output) == (PROGRAM, "f", "12")
    assert question.asks_monologue


def test_names_of_terms_are_those_of_the_config():
    assert tuple(TERMS) == REWARD_TERMS and set(_REWARDED) == set(TERMS)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"rollouts": {"max_new_tokens": 9}}, "section objective is missing"),
        ({"rewards": {"answer": 1.0}}, "section rollouts is missing"),
        ({"rewards": {"answr": 1.0}}, "unknown field rewards.answr; expected one of answer"),
        ({"rewards": {"answer": -1}}, "rewards.answer is -1, expected a number, 0 or more"),
        ({"rewards": {"answer": float("inf")}}, "rewards.answer is inf, expected a number"),
        ({"rewards": {"answer": float("nan")}}, "rewards.answer is nan, expected a number"),
        ({"rewards": {"answer": 0}}, "rewards: expected a weight above 0"),
        ({"rollouts": {"max_new_tokens": 9, "group_size": 3}}, "8 is not divisible by"),
        ({"rollouts": {"max_new_tokens": 9, "group_size": 1}}, "group_size is 1"),
        ({"rollouts": {"max_new_tokens": 999}}, "max_new_tokens 999 is above"),
        ({"rollouts": {"max_new_tokens": 9, "temperature": 0.5}}, "rollouts.temperature"),
        ({"objective": {"clip_low": 1.5}}, "clip_low is 1.5"),
        ({"objective": {"credit": "word"}}, "objective.credit is 'word'"),
        ({"objective": {"ratio_bound": 1.0}}, "ratio_bound is 1.0"),
        ({"objective": {"length_normalization": "no"}}, "length_normalization is 'no'"),
    ],
)
def test_mistakes_in_the_config_are_one_line(sections, message, tmp_path):
    config = tiny_config(tmp_path)
    if "section" not in message:
        config |= {"rollouts": {"max_new_tokens": 9}, "objective": {}, "rewards": {"answer": 1.0}}
    elif "objective" in message:
        config["rewards"] = None
        message = "section rewards is missing"
    with pytest.raises(ConfigError) as caught:
        parse_run(config | sections)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fact",
    [
        ["The function returns 12.", "So the function returns 12.", "Hence it returns 12.",
         "Step 7: The function returns 12.", "THE FUNCTION RETURNS 12.", "12 is returned."],
        ["The loop runs 3 times.", "So the loop runs 3 times.", "Thus, the loop runs 3 times."],
        ["n is 3.", "So n is 3.", "Here n is 3.", "Step 2: n is 3."],
        ["n < 4 is True.", "n < 5 is True.", "n < 6 is True.", "n < 7 is True."],
        ["n is 3.", "xs is [1, 5, 7].", "len(xs) is 3.", "xs[0] is 1.", "xs[1] is 5."],
    ],
)  # fmt: skip
def test_facts_told_again_or_not_of_the_run_are_no_steps(judge, fact):
    ending = FORWARD.response[FORWARD.response.index("[/MONOLOGUE]") :]
    once, often = judged(
        judge, FORWARD, f"{fact[0]}\n{ending}", "\n".join(fact * 3) + f"\n{ending}"
    )
    for term in ("steps", "first_wrong_step"):
        assert often.terms[term] <= 2 * once.terms[term] < 0.5, (once, often)


def test_two_assertions_are_no_answer(judge):
    answer = "assert f([1, 5, 7], 3) == 13\nassert f([1, 5, 7], 3) == 12\n[/ANSWER]"
    [one] = judged(judge, DIRECT, answer)
    assert one.terms["format"] == 0.0
