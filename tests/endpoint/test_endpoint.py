"""Tests the client of OpenAI-compatible servers over real HTTP, with a server that misbehaves."""

import contextlib
import email.utils
import socket
import threading
import time

import httpx2
import pytest

from data_pipeline.endpoint.client import (
    Client,
    CompletionRequest,
    Endpoint,
    EndpointError,
    Reply,
    Usage,
)
from tests.support.openai_stand_in import MODEL, StandIn

KEY = "sk-this-is-secret"


@contextlib.contextmanager
def served(
    answer=lambda body: "ok",
    *,
    on_retry=None,
    silence=1.0,
    pause=0.0,
    faults=(),
    refusal=lambda path, body: None,
    **options,
):
    """(server, client of it) with `options` of the endpoint."""
    options = {"first_wait_seconds": 0.001, "timeout_seconds": 30.0, **options}
    with (
        StandIn(answer, faults, silence, pause, refusal) as stand_in,
        Client(Endpoint(stand_in.url, MODEL, **options), on_retry=on_retry) as asker,
    ):
        yield stand_in, asker


def test_completion_request_and_reply():
    with served(lambda body: ["a b", "c"]) as (stand_in, asker):
        ask = CompletionRequest(
            "one two three", 7, temperature=0.5, top_p=0.9, n=2, stop=("X",), seed=3
        )
        reply = asker.ask(ask)
    assert (reply.texts, reply.finish_reasons) == (("a b", "c"), ("stop", "stop"))
    assert reply.usage == Usage(3, 3)
    assert reply.tries == 1
    [(path, _, body)] = stand_in.requests
    assert path == "/v1/completions"
    assert body == {
        "model": MODEL,
        "prompt": "one two three",
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "n": 2,
        "stop": ["X"],
        "seed": 3,
    }


def test_chat_request_and_extra_fields():
    with served(lambda body: body["messages"][-1]["content"]) as (stand_in, asker):
        messages = ({"role": "system", "content": "s"}, {"role": "user", "content": "hello"})
        reply = asker.ask(CompletionRequest(messages, temperature=None, extra={"top_k": 5}))
        assert asker.models() == (MODEL,)
    assert reply.texts == ("hello",)
    path, _, body = stand_in.requests[0]
    assert path == "/v1/chat/completions"
    assert body["top_k"] == 5
    assert "temperature" not in body


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ((429, {"retry-after": "0"}, {"error": {"message": "slow down"}}), "status 429: slow down"),
        ((500, {}, {"error": "boom"}), "status 500: boom"),
        ((503, {}, []), "status 503"),
        ("truncated", "cut short"),
        ("malformed", "not complete JSON"),
        ("empty", "no 1 choice with text"),
        ("hang up", "cut short"),
    ],
)
def test_what_may_pass_is_tried_again(fault, said):
    told = []
    with served(faults=[fault, fault], on_retry=told.append) as (_stand_in, asker):
        reply = asker.ask(CompletionRequest("p"))
    assert (reply.texts, reply.tries) == (("ok",), 3)
    assert len(told) == 2
    assert all(said in line and "\n" not in line for line in told)


def test_a_silent_server_is_left_and_asked_again():
    with served(faults=["silent"], silence=2.0, timeout_seconds=0.5) as (_stand_in, asker):
        reply = asker.ask(CompletionRequest("p"))
    assert reply.texts == ("ok",)
    assert reply.tries > 1


def test_tries_end_in_one_line():
    with (
        served(faults=[(502, {}, {})] * 9, max_tries=3) as (stand_in, asker),
        pytest.raises(EndpointError) as caught,
    ):
        asker.ask(CompletionRequest("p"))
    assert str(caught.value) == f"{stand_in.url}/completions: status 502, after 3 tries"
    assert not caught.value.final
    assert len(stand_in.requests) == 3


@pytest.mark.parametrize(
    ("status", "code", "final"),
    [(401, None, True), (404, "model_not_found", True), (400, None, False),
     (422, None, False), (429, "insufficient_quota", True)],
)  # fmt: skip
def test_what_will_not_pass_is_told_at_once(status, code, final):
    fault = (status, {}, {"error": {"message": "two\nlines", "code": code}})
    with (
        served(faults=[fault]) as (stand_in, asker),
        pytest.raises(EndpointError, match=f"status {status}: two lines$") as caught,
    ):
        asker.ask(CompletionRequest("p"))
    assert caught.value.final is final
    assert len(stand_in.requests) == 1


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_obeyed_by_every_request(as_date):
    # A date has whole seconds: two ahead is at least one.
    value = email.utils.formatdate(time.time() + 2, usegmt=True) if as_date else "0.6"
    at_least = 0.9 if as_date else 0.6
    threads = []

    def ask_another(line):
        threads.append(threading.Thread(target=asker.ask, args=(CompletionRequest("other"),)))
        threads[-1].start()

    fault = (429, {"retry-after": value}, {})
    with served(faults=[fault], on_retry=ask_another) as (stand_in, asker):
        asker.ask(CompletionRequest("p"))
        threads[0].join()
    assert len(stand_in.arrivals) == 3
    first, *others = stand_in.arrivals
    assert all(later - first >= at_least for later in others)


def test_who_is_told_to_come_again_does_so_until_patience_ends():
    busy = (429, {"retry-after": "0"}, {})
    with served(faults=[busy] * 9, max_tries=2) as (stand_in, asker):
        assert asker.ask(CompletionRequest("p")).tries == 10
    with (
        served(faults=[busy] * 999, patience_seconds=0.2) as (stand_in, asker),
        pytest.raises(EndpointError, match="status 429, after"),
    ):
        asker.ask(CompletionRequest("p"))
    assert 1 < len(stand_in.requests) < 999


def test_the_key_goes_into_the_header_and_nowhere_else(monkeypatch):
    monkeypatch.setenv("STAND_IN_KEY", KEY)
    told = []
    echo = {"error": {"message": f"bad key {KEY}"}}
    with (
        served(
            faults=[(500, {}, echo), (401, {}, echo)],
            key_variable="STAND_IN_KEY",
            on_retry=told.append,
        ) as (stand_in, asker),
        pytest.raises(EndpointError) as caught,
    ):
        asker.ask(CompletionRequest("p"))
    assert stand_in.requests[0][1]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in str(caught.value) + "".join(told) + repr(asker.endpoint)


def test_no_key_no_header(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with served() as (stand_in, asker):
        asker.ask(CompletionRequest("p"))
    assert "authorization" not in {name.lower() for name in stand_in.requests[0][1]}


def test_many_at_once_up_to_the_limit_and_no_further():
    with served(lambda body: body["prompt"], pause=0.05, concurrency=4) as (stand_in, asker):
        answers = dict(asker.ask_all(CompletionRequest(str(number)) for number in range(20)))
    assert {index: reply.texts[0] for index, reply in answers.items()} == {
        number: str(number) for number in range(20)
    }
    assert 1 < stand_in.most_at_once <= 4


def test_one_bad_request_does_not_stop_the_others():
    with served(faults=[(400, {}, {"error": "too long"})], concurrency=1) as (_stand_in, asker):
        answers = dict(asker.ask_all([CompletionRequest("a"), CompletionRequest("b")]))
    assert isinstance(answers[0], EndpointError)
    assert isinstance(answers[1], Reply)


def test_a_wrong_key_stops_them_all():
    with (
        served(faults=[(401, {}, {})] * 50, concurrency=2) as (stand_in, asker),
        pytest.raises(EndpointError, match="status 401"),
    ):
        list(asker.ask_all(CompletionRequest(str(number)) for number in range(50)))
    assert len(stand_in.requests) <= 4


def test_closing_ends_the_waiting():
    fault = (429, {"retry-after": "200"}, {})
    closing = []

    def close(line):
        closing.append(threading.Thread(target=asker.close))
        closing[-1].start()

    with (
        served(faults=[fault], on_retry=close) as (_, asker),
        pytest.raises(EndpointError, match="was closed"),
    ):
        asker.ask(CompletionRequest("p"))
        closing[0].join()


def test_no_server():
    with StandIn() as stand_in:
        pass
    endpoint = Endpoint(stand_in.url, MODEL, max_tries=2, first_wait_seconds=0.001)
    with Client(endpoint) as asker, pytest.raises(EndpointError, match="after 2 tries") as caught:
        asker.ask(CompletionRequest("p"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "field"),
    [({"url": "localhost:8000"}, "url"), ({"url": "http://u:p@host/v1"}, "url"),
     ({"url": "http://host:port"}, "url"), ({"model": ""}, "model"),
     ({"concurrency": 0}, "concurrency"), ({"max_tries": 0}, "max_tries"),
     ({"timeout_seconds": 0}, "timeout_seconds"), ({"patience_seconds": 0}, "patience_seconds")],
)  # fmt: skip
def test_bad_settings_name_the_field(options, field):
    with pytest.raises(EndpointError, match=f"^{field}: ") as caught:
        Endpoint(**{"url": "http://host/v1", "model": "m", **options})
    assert "\n" not in str(caught.value)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_server_that_was_never_there_is_not_awaited():
    url = f"http://127.0.0.1:{free_port()}/v1"
    endpoint = Endpoint(url, MODEL, first_wait_seconds=0.001, max_tries=50, concurrency=2)
    told = []
    with (
        Client(endpoint, on_retry=told.append) as asker,
        pytest.raises(EndpointError, match="refused, after 3 tries; is the server") as caught,
    ):
        list(asker.ask_all(CompletionRequest("p") for _ in range(100)))
    assert caught.value.final and "\n" not in str(caught.value)
    assert 2 <= len(told) <= 4  # one line for each retry, not for each request in flight


def test_a_server_that_was_there_is_awaited():
    with served(max_tries=5) as (stand_in, asker):
        assert asker.ask(CompletionRequest("p")).texts == ("ok",)
        stand_in.__exit__()
        asker._http.close()
        asker._http = httpx2.Client()  # without the connection that is still open
        with pytest.raises(EndpointError, match=r"refused, after 5 tries$") as caught:
            asker.ask(CompletionRequest("p"))
    assert not caught.value.final


@pytest.mark.parametrize(
    ("path", "code", "is_told"),
    [("", "", True), ("/", "", True), ("/v1", "", False), ("/api/v3/", "", False),
     ("", "model_not_found", False)],
)  # fmt: skip
def test_an_address_without_a_version_is_told(path, code, is_told):
    missing = (404, {"error": {"message": "Not Found", "code": code}})
    with StandIn(refusal=lambda path, body: missing) as stand_in:
        url = stand_in.url.removesuffix("/v1")
        with (
            Client(Endpoint(url + path, MODEL)) as asker,
            pytest.raises(EndpointError, match="status 404: Not Found") as caught,
        ):
            asker.ask(CompletionRequest("p", fallback=CompletionRequest("q")))
    assert caught.value.final
    assert str(caught.value).endswith(f"; the address should end in /v1 ({url}/v1)") == is_told
    assert ("/v1 (" in str(caught.value)) == is_told
