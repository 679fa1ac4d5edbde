"""Tests buggy variants sampled from a model, with a fake endpoint."""

import pytest

from data_pipeline.endpoint.client import Client, Endpoint, EndpointError
from data_pipeline.endpoint.reply_cache import CachedClient, ReplyCache
from data_pipeline.execution.service import Sandbox, TraceLimits, call_job
from data_pipeline.faults import sample_faults
from data_pipeline.faults.samples import extract_program, question
from data_pipeline.seeds import Seed
from data_pipeline.testcases import Case
from tests.support.openai_stand_in import MODEL, StandIn

CODE = """import math


def pages(items, size):
    # marker-of-the-reference
    if size < 1:
        raise ValueError(size)
    count = math.ceil(len(items) / size)
    return [items[i * size : (i + 1) * size] for i in range(count)]
"""
CALLS = ["pages([1, 2, 3], 2)", "pages([], 3)", "pages('abcd', 2)"]
FLOOR = CODE.replace("ceil", "floor")


def fenced(code: str) -> str:
    return f"Here it is:\n```python\n{code}```\nThe slip is in the rounding."


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1) as made:
        yield made


@pytest.fixture(scope="module")
def explored(sandbox):
    jobs = [call_job(CODE, call, trace=TraceLimits()) for call in CALLS]
    cases = [
        Case(call, repr(result.outcome.python()), result.trace)
        for call, result in zip(CALLS, sandbox.map(jobs), strict=True)
    ]
    return Seed("0" * 12, "pages", CODE, "Cut into pages.", tuple(CALLS), (), "x:1"), cases


def sampled(explored, sandbox, answers, path=None, refusal=lambda path, body: None, **options):
    """(faults, server) of answers given by the request's seed."""
    with StandIn(lambda body: answers[body["seed"]], refusal=refusal) as stand_in:
        client = Client(Endpoint(stand_in.url, MODEL, max_tries=1, first_wait_seconds=0.001))
        cached = CachedClient(client, ReplyCache(path) if path else None)
        found = sample_faults(*explored, sandbox, cached, samples=len(answers), **options)
    return found, stand_in


def test_wrong_samples_are_kept_with_their_diagnosis(explored, sandbox):
    early = CODE.replace("    if size < 1:\n        raise ValueError(size)\n", "").replace(
        "len(items) / size)", "(len(items) + 1) / size)"
    )
    found, _ = sampled(explored, sandbox, [fenced(FLOOR), fenced(early), early])
    assert [fault.operator for fault in found.kept] == ["model", "model"]
    assert found.refused == {"the right program again, or the same sample": 1}
    first, second = found.kept
    assert first.refined == second.refined == CODE.rstrip("\n")
    assert (first.call, first.expected) == ("pages([1, 2, 3], 2)", "[[1, 2], [3]]")
    assert (
        "line 8 (`count = math.floor(len(items) / size)`) leaves `count` = 1, where `count` = 2 is "
        "needed."
    ) in first.diagnosis
    # By hand: (0 + 1) / 3 rounds up to a page of nothing.
    assert (second.call, second.expected) == ("pages([], 3)", "[]")
    assert "leaves `count` = 1, where `count` = 0 is needed." in second.diagnosis
    assert second.diagnosis.endswith(
        "`if size < 1:`, `raise ValueError(size)` and `count = math.ceil(len(items) / size)` must "
        "be inserted. With that, pages([], 3) returns []."
    )


def test_a_server_without_chats_completes_the_fence(explored, sandbox):
    def no_chat(path, body):
        return (404, {"detail": "Not Found"}) if "chat" in path else None

    found, stand_in = sampled(explored, sandbox, [FLOOR], refusal=no_chat)
    assert [fault.operator for fault in found.kept] == ["model"]
    (_, _, chat), (path, _, text) = stand_in.requests
    assert path == "/v1/completions" and text["stop"] == ["```"] and "stop" not in chat
    assert text["prompt"].endswith("```python\n")


def test_the_reference_is_shown_to_the_model_only(explored, sandbox):
    told = FLOOR.replace("    # marker-of-the-reference\n", "")
    found, stand_in = sampled(explored, sandbox, [fenced(told)])
    [fault] = found.kept
    assert "marker-of-the-reference" in stand_in.requests[0][2]["messages"][1]["content"]
    assert "marker-of-the-reference" not in fault.fault
    assert "marker-of-the-reference" in fault.response


def test_what_a_sample_says_about_its_bug_is_taken_out(explored):
    seed, _ = explored
    chatty = FLOOR.replace(
        "    count", '    """BUG: floor, should be ceil."""\n    # wrong on purpose\n    count'
    ).replace("/ size)", "/ size)  # should be ceil")
    assert extract_program(fenced(chatty), seed) == FLOOR


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("I cannot do that.", "the sample is no program"),
        (fenced("def pages(items, size:\n"), "the sample is no program"),
        (fenced("def other():\n    return 1\n"), "the sample lacks the function"),
        (fenced(f"import os\n{CODE}"), "the sample imports something new"),
        (fenced("def pages(items, size):\n    return items\n"), "the sample is another program"),
        (fenced(CODE), "the right program again, or the same sample"),
        (fenced(CODE.replace("< 1", "<= 0")), "passes every visible test"),
        (
            fenced(CODE.replace("range(count)", "iter(int, 1)")),
            "the traced steps end before the runs part",
        ),
    ],
)
def test_samples_are_refused_by_reason(explored, sandbox, answer, reason):
    found, _ = sampled(explored, sandbox, [answer])
    assert (found.kept, dict(found.refused)) == ((), {reason: 1})


def test_a_stopped_build_does_not_ask_again(explored, sandbox, tmp_path):
    path = tmp_path / "replies.jsonl"
    found, stand_in = sampled(explored, sandbox, [fenced(FLOOR)], path)
    assert len(stand_in.requests) == 1
    client = Client(Endpoint(stand_in.url, MODEL, max_tries=1))  # which is gone
    again = sample_faults(*explored, sandbox, CachedClient(client, ReplyCache(path)), samples=1)
    assert again == found


def test_no_answer_is_counted_and_a_wrong_key_is_told(explored, sandbox):
    with StandIn(lambda body: fenced(FLOOR), faults=[(400, {}, {}), (401, {}, {})]) as stand_in:
        client = Client(Endpoint(stand_in.url, MODEL, max_tries=1, concurrency=1))
        found = sample_faults(*explored, sandbox, CachedClient(client), samples=1)
        assert found.refused == {"the endpoint gave no answer": 1}
        with pytest.raises(EndpointError, match="status 401"):
            sample_faults(*explored, sandbox, CachedClient(client), samples=1)


def test_completion_models_go_on_inside_the_fence(explored, sandbox):
    found, stand_in = sampled(explored, sandbox, [FLOOR], chat=False)
    assert len(found.kept) == 1
    path, _, body = stand_in.requests[0]
    assert path == "/v1/completions"
    assert body["prompt"].endswith("### Program with the slip\n```python\n")
    assert body["stop"] == ["```"]


def test_samples_ask_for_different_slips(explored):
    seed, _ = explored
    asked = [question(seed, number)[1]["content"] for number in range(4)]
    assert len(set(asked)) == 4
    assert all(seed.nl in text and seed.code.rstrip() in text for text in asked)
