"""Tests teachers by endpoint: requests, refused answers with reasons, and continued builds."""

import json
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from data_pipeline.commands.ask import main
from data_pipeline.endpoint.client import (
    Client,
    CompletionRequest,
    Endpoint,
    EndpointError,
    Reply,
    Usage,
)
from data_pipeline.endpoint.reply_cache import (
    CachedClient,
    Prices,
    ReplyCache,
    ReplyCacheError,
    request_key,
)
from data_pipeline.execution.service import Sandbox
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import make_record
from data_pipeline.teacher.teacher import Teacher, TeacherQuestion, judge
from data_pipeline.tracing import trace_call
from data_pipeline.verify import CONTRADICTED, verify_trace
from tests.support.openai_stand_in import MODEL, StandIn
from tests.support.questions import BACKWARD, CALL, FORWARD, PROGRAM, ask_backward, ask_forward


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1) as made:
        yield made


def judged(question, text, sandbox, reason="stop"):
    return judge(question, Reply((text,), (reason,)), sandbox)


# ---- judging -------------------------------------------------------------------------------------


def test_the_examples_in_the_prompts_are_true(sandbox):
    claims = verify_trace(trace_call(PROGRAM, CALL), FORWARD)
    assert len(claims) > 10
    assert not [claim for claim in claims if claim.verdict == CONTRADICTED]
    assert judged(ask_forward(), FORWARD, sandbox).response == FORWARD
    assert judged(ask_backward(), BACKWARD, sandbox).response == BACKWARD


@pytest.mark.parametrize(
    "dress",
    [
        lambda answer: answer.removesuffix("\n[/ANSWER]"),  # as a server stops it
        lambda answer: f"[MONOLOGUE]\n{answer}\n\nI hope this helps!",
        lambda answer: answer.replace("\nassert", "\n```python\nassert").replace(
            "\n[/ANSWER]", "\n```\n[/ANSWER]"
        ),
        lambda answer: answer.replace("f(['ab', 'cde'], 2)", 'f( ["ab","cde"], n=2 )').replace(
            "n=2 )", "2 )"
        ),
    ],
)
def test_other_dress_same_answer(sandbox, dress):
    response = judged(ask_forward(), dress(FORWARD), sandbox).response
    assert response is not None
    assert response.startswith("### Understanding the Function\n")
    assert response.endswith("\n[/ANSWER]")
    record = make_record("fwd_mnl_0_ipt0", "fwd_mnl", ask_forward().prompt_field, response)
    assert training_prompt(record).endswith("[MONOLOGUE]\n")


FORWARD_FAULTS = [
    (("== 3", "== 4"), "wrong output"),
    (("== 3", "== 3.0"), "wrong output"),
    (("== 3", "== True"), "wrong output"),
    (("== 3", "== 3 or True"), "the answer is no call == literal"),
    (("== 3", "== 1 + 2"), "the answer is no call == literal"),
    (("== 3", "== len('abc')"), "the answer is no call == literal"),
    (("== 3", "is not None"), "the answer is no call == literal"),
    (("'cde'], 2) ==", "'cde'], 1) =="), "another call was asserted"),
    (("assert f(", "assert g("), "another call was asserted"),
    (("assert f(['ab', 'cde'], 2)", "assert f(list(map(str, '12')), 2)"),
     "the answer is no call == literal"),
    (("gives total=3", "gives total=5"), "contradicted by the run: value"),
    (("n=2 is True", "n=2 is False"), "contradicted by the run: branch"),
    (("iteration 2 of", "iteration 3 of"), "contradicted by the run: iteration"),
    (("function returns 3", "function returns 4"), "contradicted by the run: return"),
    (("### Conclusion\n", ""), "not in the form: Conclusion"),
    (("### Execution Simulation", "### Simulation"), "not in the form: Execution Simulation"),
    (("[/MONOLOGUE]", ""), "not in the form: answer"),
    (("[ANSWER]\n", ""), "not in the form: answer"),
    (("### Understanding", "Sure!\n### Understanding"),
     "not in the form: something before the monologue"),
    (("### Key", "\ud800### Key"), "not in the form: Key Properties and Constraints"),
    (("comparison is strict", "\ud800"), "not in the form: broken characters"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "reason"), FORWARD_FAULTS)
def test_forward_answers_are_refused_by_reason(sandbox, edit, reason):
    old, new = edit
    assert old in FORWARD
    at = FORWARD.rindex(old)
    wrong = FORWARD[:at] + new + FORWARD[at + len(old) :]
    assert judged(ask_forward(), wrong, sandbox).reason == reason


def test_a_monologue_with_no_step_that_can_be_checked_is_refused(sandbox):
    head, _, rest = FORWARD.partition("1. [L6]")
    prose = f"{head}It works out.\n\n### Conclusion{rest.partition('### Conclusion')[2]}"
    assert judged(ask_forward(), prose, sandbox).reason == "no step that can be checked"


def test_an_answer_cut_by_the_token_limit_is_refused(sandbox):
    assert judged(ask_forward(), FORWARD, sandbox, "length").reason == "cut by the limit on tokens"


BACKWARD_FAULTS = [
    (("== 7", "== 6"), "another output was asserted"),
    (("f(['abcdefg'], 3)", "f(['abcdefg'], 7)"), "wrong input"),
    (("f(['abcdefg'], 3)", "f(['abcdefg'])"), "wrong input"),
    (("f(['abcdefg'], 3)", "f(7, 3)"), "wrong input"),
    (("f(['abcdefg'], 3)", "f(['a' * 7], 3)"), "the answer is no call == literal"),
    (("f(['abcdefg'], 3)", "f(open('/etc/passwd'), 3)"), "the answer is no call == literal"),
    (("assert f(", "assert str("), "another call was asserted"),
    (("### Reverse Deduction", "### Deduction"), "not in the form: Reverse Deduction"),
]


@pytest.mark.parametrize(("edit", "reason"), BACKWARD_FAULTS)
def test_backward_answers_are_refused_by_reason(sandbox, edit, reason):
    old, new = edit
    at = BACKWARD.rindex(old)
    wrong = BACKWARD[:at] + new + BACKWARD[at + len(old) :]
    assert judged(ask_backward(), wrong, sandbox).reason == reason


def test_any_input_that_gives_the_output_is_right(sandbox):
    other = BACKWARD.replace("f(['abcdefg'], 3)", "f(['abc', 'defg', 'x'], 1)")
    assert judged(ask_backward(), other, sandbox).response == other


def test_other_inputs_that_an_answer_names_are_run(sandbox):
    program = "def f(text):\n    return text[:1].upper() + text[1:]"
    question = TeacherQuestion(
        "bwd_mnl", program, "f", "f('abBa')", "'AbBa'", sandbox.trace(program, "f('abBa')")
    )
    answer = (
        "### Understanding the Function\n`f` makes the first letter a capital.\n\n"
        "### Key Properties and Constraints\n- The input is a string.\n\n"
        "### Reverse Deduction\n- Another possible input is `{}`.\n\n"
        "### Conclusion\nWe choose `text` = 'abBa'.\n[/MONOLOGUE]\n\n"
        "[ANSWER]\nassert f('abBa') == 'AbBa'\n[/ANSWER]"
    )
    assert judged(question, answer.format("'AbBa'"), sandbox).response is not None
    wrong = judged(question, answer.format("'b'"), sandbox)
    assert wrong.response is None and wrong.reason.startswith("contradicted by the run")


# ---- asking --------------------------------------------------------------------------------------


FREE = Prices()


def answering(*answers):
    """A server that gives these answers in turn, by the attempt's seed."""
    return lambda body: answers[min(body["seed"], len(answers) - 1)]


def teaching(stand_in, sandbox, path=None, prices=FREE, concurrency=4, **options):
    client = Client(
        Endpoint(
            stand_in.url, MODEL, concurrency=concurrency, first_wait_seconds=0.001, max_tries=2
        )
    )
    cache = ReplyCache(path) if path is not None else None
    return Teacher(CachedClient(client, cache, prices), sandbox, **options)


def test_a_teacher_is_asked_in_the_format_and_not_told_the_answer(sandbox):
    with StandIn(lambda body: FORWARD) as stand_in:
        teacher = teaching(stand_in, sandbox)
        program = "def f(n):\n    return n * 1234567"
        list(teacher.teach([ask_forward(program, "f(2)")]))
    path, _, body = stand_in.requests[0]
    assert path == "/v1/chat/completions"
    assert [message["role"] for message in body["messages"]] == [
        "system", "user", "assistant", "user",
    ]  # fmt: skip
    asked = body["messages"][-1]["content"]
    assert "assert f(2) == ??\n[/PYTHON]\n[MONOLOGUE]\n" in asked
    assert "2469134" not in json.dumps(body)
    assert body["messages"][2]["content"] == FORWARD
    assert body["stop"] == ["[/ANSWER]"]


def test_the_witness_of_a_backward_question_is_not_told(sandbox):
    with StandIn(lambda body: BACKWARD) as stand_in:
        [lesson] = teaching(stand_in, sandbox).teach([ask_backward()])
    assert "wxyz" not in json.dumps(stand_in.requests[0][2])
    assert "assert f(??) == 7" in stand_in.requests[0][2]["messages"][-1]["content"]
    assert lesson.response == BACKWARD


@pytest.mark.parametrize("examples", [False, True])
def test_completions(sandbox, examples):
    with StandIn(lambda body: FORWARD) as stand_in:
        teacher = teaching(stand_in, sandbox, chat=False, examples=examples)
        [lesson] = teacher.teach([ask_forward()])
    path, _, body = stand_in.requests[0]
    assert path == "/v1/completions"
    assert body["prompt"].endswith("[MONOLOGUE]\n")
    assert body["prompt"].count("[/MONOLOGUE]") == (2 if examples else 0)  # rules and example
    assert lesson.response == FORWARD


def test_a_server_without_chats_is_asked_for_completions(sandbox):
    def no_chat(path, body):
        return (404, {"detail": "Not Found"}) if "chat" in path else None

    with StandIn(lambda body: FORWARD, refusal=no_chat) as stand_in:
        teacher = teaching(stand_in, sandbox, concurrency=1)
        lessons = list(teacher.teach([ask_forward(), ask_forward(call="f(['ab', 'cde'], 2)")]))
    assert [path for path, _, _ in stand_in.requests] == [
        "/v1/chat/completions", "/v1/completions", "/v1/completions",
    ]  # fmt: skip
    assert stand_in.requests[1][2]["prompt"].endswith("[MONOLOGUE]\n")
    assert stand_in.requests[1][2]["prompt"].count("[/MONOLOGUE]") == 2  # rules and example
    assert all(lesson.response == FORWARD for lesson in lessons)


def test_wrong_answers_are_asked_again_and_counted(sandbox):
    wrong = FORWARD.replace("== 3", "== 4")
    with StandIn(answering(wrong, FORWARD)) as stand_in:
        teacher = teaching(stand_in, sandbox, prices=Prices(1.0, 10.0))
        [lesson] = teacher.teach([ask_forward()])
    assert (lesson.response, lesson.attempts) == (FORWARD, 2)
    counts, spending = teacher.counts, teacher.counts.spending
    assert (counts.questions, counts.kept, counts.answers) == (1, 1, 2)
    assert counts.refused == {"wrong output": 1}
    assert counts.confirmed_claims > 10
    usage = spending.usage
    words = sum(len(m["content"].split()) for m in stand_in.requests[0][2]["messages"])
    assert usage == Usage(2 * words, 2 * len(FORWARD.split()))
    assert spending.cost == pytest.approx(
        (usage.prompt_tokens + 10 * usage.completion_tokens) / 1e6
    )
    summary = counts.summary()
    assert "1 (100.0 %)" in summary
    assert "wrong output" in summary


def test_lessons_come_in_order_whatever_the_server_does(sandbox):
    programs = [f"def f(n):\n    k = n + {number}\n    return k" for number in range(20)]
    faults = [(500, {}, {}), "malformed", "truncated", (429, {"retry-after": "0"}, {})]
    with StandIn(
        lambda body: narrated(body["messages"][-1]["content"]), faults=faults, pause=0.01
    ) as stand_in:
        teacher = teaching(stand_in, sandbox)
        lessons = list(teacher.teach([ask_forward(program, "f(1)") for program in programs]))
    assert [lesson.question.program for lesson in lessons] == programs
    assert sum(lesson.response is not None for lesson in lessons) == 20
    assert stand_in.most_at_once > 1


def narrated(prompt: str) -> str:
    """A right monologue for `k = n + NUMBER; return k` at f(1), out of the prompt's own text."""
    number = int(prompt.split("k = n + ")[1].split()[0])
    return (
        "### Understanding the Function\nIt adds.\n\n"
        "### Key Properties and Constraints\nNone.\n\n"
        f"### Execution Simulation\n1. [L6] n=1 + {number} gives k={1 + number}.\n"
        f"2. [L7] return k={1 + number}.\n\n### Conclusion\nThe function returns {1 + number}.\n"
        f"[/MONOLOGUE]\n\n[ANSWER]\nassert f(1) == {1 + number}\n"
    )


def test_a_question_without_an_answer_does_not_stop_the_others(sandbox):
    with StandIn(lambda body: FORWARD, faults=[(400, {}, {"error": "too long"})]) as stand_in:
        teacher = teaching(stand_in, sandbox, attempts=1, concurrency=1)
        first, second = teacher.teach([ask_forward(), ask_forward(call="f(['ab', 'cde'], 2)")])
    assert (first.response, first.reason) == (None, "the endpoint gave no answer")
    assert second.response == FORWARD


def test_a_wrong_key_stops_the_teaching(sandbox):
    with StandIn(faults=[(401, {}, {"error": "no"})] * 40) as stand_in:
        teacher = teaching(stand_in, sandbox)
        with pytest.raises(EndpointError, match="status 401"):
            list(teacher.teach([ask_forward() for _ in range(40)]))


# ---- the cache -----------------------------------------------------------------------------------


def test_what_was_asked_is_not_asked_again(sandbox, tmp_path):
    path = tmp_path / "made" / "replies.jsonl"
    wrong = FORWARD.replace("== 3", "== 4")
    with StandIn(answering(wrong, FORWARD)) as stand_in:
        first = list(teaching(stand_in, sandbox, path, Prices(1, 1)).teach([ask_forward()]))
    assert len(stand_in.requests) == 2
    teacher = teaching(stand_in, sandbox, path, Prices(1, 1))  # the server is gone
    assert list(teacher.teach([ask_forward()])) == first
    spending = teacher.counts.spending
    assert (spending.asked, spending.cached) == (0, 2)
    assert spending.cost == 0
    assert spending.total_cost > 0
    assert "secret" not in path.read_text()


def test_requests_that_differ_have_different_keys():
    asks = [
        CompletionRequest("a"),
        CompletionRequest("b"),
        CompletionRequest("a", seed=1),
        CompletionRequest("a", temperature=0.5),
        CompletionRequest("a", n=2),
        CompletionRequest("a", stop=("x",)),
        CompletionRequest("a", 5),
        CompletionRequest(({"role": "user", "content": "a"},)),
        CompletionRequest("a", extra={"top_k": 1}),
    ]
    keys = {request_key(ask, "http://h/v1", "m") for ask in asks}
    keys |= {
        request_key(CompletionRequest("a"), "http://h/v1", "n"),
        request_key(CompletionRequest("a"), "http://i/v1", "m"),
    }
    assert len(keys) == len(asks) + 2
    assert request_key(CompletionRequest("a"), "http://h/v1/", "m") in keys


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_line_costs_one_reply(tmp_path, cut):
    path = tmp_path / "replies.jsonl"
    cache = ReplyCache(path)
    for number in range(3):
        cache.put(str(number), Reply((f"é{number}",), ("stop",), Usage(1, 2)))
    cache.close()
    path.write_bytes(path.read_bytes()[:-cut])
    again = ReplyCache(path)
    assert (len(again), again.torn) == (3, 0) if cut == 1 else (2, 1)
    again.put("new", Reply(("n",), ("stop",)))
    again.close()
    last = ReplyCache(path)
    assert last.get("new").texts == ("n",)
    assert last.get("0") == Reply(("é0",), ("stop",), Usage(1, 2), tries=0)
    assert last.get("2") is None or cut == 1


def test_processes_share_a_cache_file(tmp_path):
    path = tmp_path / "replies.jsonl"
    one, other = ReplyCache(path), ReplyCache(path)
    for number in range(5):
        one.put(f"one {number}", Reply((f"é{number}",), ("stop",)))
        other.put(f"other {number}", Reply((f"ü{number}" * 1000,), ("stop",)))
    assert [one.get(f"one {n}").texts[0] for n in range(5)] == [f"é{n}" for n in range(5)]
    assert one.get("other 0") is None  # known after the next start only
    again = ReplyCache(path)
    assert (len(again), again.torn) == (10, 0)
    assert again.get("other 4").texts == ("ü4" * 1000,)
    path.write_text("")
    assert again.get("other 4") is None


def test_a_cache_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ReplyCacheError, match="file"):
        ReplyCache(tmp_path / "file" / "replies.jsonl")


_STOPPED = """
    import sys
    sys.path[:0] = sys.argv[1:3]
    from data_pipeline.endpoint.client import Client, Endpoint
    from data_pipeline.execution.service import Sandbox
    from data_pipeline.teacher.teacher import Teacher
    from data_pipeline.endpoint.reply_cache import CachedClient, ReplyCache
    from tests.support.questions import ask_forward
    client = Client(Endpoint(sys.argv[3], "stand-in", concurrency=2))
    with Sandbox(workers=1) as sandbox:
        teacher = Teacher(CachedClient(client, ReplyCache(sys.argv[4])), sandbox)
        programs = [f"def f(n):\\n    k = n + {i}\\n    return k" for i in range(30)]
        questions = [ask_forward(program, "f(1)") for program in programs]
        for lesson in teacher.teach(questions):
            print("kept" if lesson.response else lesson.reason, flush=True)
"""


def test_a_killed_teaching_goes_on_where_it_was(tmp_path):
    path = tmp_path / "replies.jsonl"
    repository = str(Path(__file__).parents[2])
    with StandIn(lambda body: narrated(body["messages"][-1]["content"]), pause=0.02) as stand_in:
        command = [
            sys.executable, "-c", textwrap.dedent(_STOPPED), repository, repository,
            stand_in.url, str(path),
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for _ in range(5):
            assert process.stdout.readline() == "kept\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        known = len(ReplyCache(path))
        assert 5 <= known < 30
        asked = len(stand_in.requests)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "kept\n" * 30
    late = len(stand_in.requests) - asked - (30 - known)
    assert 0 <= late <= 2  # those on their way when it was killed may arrive after
    bodies = Counter(json.dumps(body) for _, _, body in stand_in.requests)
    assert len(bodies) == 30
    assert sum(bodies.values()) <= 30 + 2  # those on their way when it was killed


def test_the_command_prints_what_is_kept(tmp_path, capsys):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM + "\n")
    with StandIn(lambda body: BACKWARD if "Reverse" in str(body) else FORWARD) as stand_in:
        arguments = [f"--url={stand_in.url}", f"--model={MODEL}", f"--program={program}",
                     f"--call={CALL}", f"--cache={tmp_path / 'replies.jsonl'}"]  # fmt: skip
        assert main(arguments) == 0
        said = capsys.readouterr()
        assert said.out == f"{FORWARD}\n"
        assert "1 (100.0 %)" in said.err
        assert main([*arguments, "--backward", "--completions"]) == 1  # 7, where 3 is asked
        assert "another output was asserted" in capsys.readouterr().err
    assert main(arguments) == 0  # from the cache
    assert "0 made, 1 from the cache" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"url": "host"}, "url: expected http"),
        ({"program": "none.py"}, "none.py: No such file"),
        ({"call": "f(x)"}, "--call=f(x): "),
        ({"call": "f(1, 2)"}, "a literal; got exception"),
        ({"attempts": "0"}, "--attempts"),
        ({"cache": "program.py/x"}, "program.py"),
    ],
)
def test_the_command_tells_a_mistake_in_one_line(tmp_path, monkeypatch, capsys, change, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM + "\n")
    options = {"url": "http://127.0.0.1:9/v1", "model": "m", "program": "program.py", "call": CALL}
    assert main([f"--{name}={value}" for name, value in (options | change).items()]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and said in error
