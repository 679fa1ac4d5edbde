"""Tests what a client learns from servers that refuse fields or one form of asking.

Refusals are worded like those of OpenAI, vLLM and FastAPI servers.
"""

import pytest

from data_pipeline.endpoint.client import CompletionRequest, EndpointError
from data_pipeline.endpoint.dialect import cut
from tests.endpoint.test_endpoint import served

USER = ({"role": "user", "content": "one"},)
TEXT = CompletionRequest("one", 7, temperature=0.5, top_p=0.9, seed=3, stop=("\n", "##"))
CHAT = CompletionRequest(USER, 7, temperature=0.5, top_p=0.9, seed=3, stop=("\n", "##"))
EITHER = CompletionRequest("one", 7, fallback=CompletionRequest(USER, 7))
CHAT_FIRST = CompletionRequest(USER, 7, fallback=CompletionRequest("one", 7))


def refusing(rule, answer=lambda body: "ok", **options):
    return served(answer, refusal=rule, **options)


def openai(message, param=None, code=None):
    return 400, {"error": {"message": message, "param": param, "code": code}}


def without(field, refusal):
    return lambda path, body: refusal if field in body else None


@pytest.mark.parametrize(
    ("field", "refusal"),
    [
        ("temperature", openai("Unsupported value: 'temperature' does not support 0.5 with this "
            "model. Only the default (1) value is supported.", "temperature", "unsupported_value")),
        ("temperature", openai("`temperature` is deprecated for this model.")),
        ("top_p", openai("`temperature` and `top_p` cannot both be specified for this model.")),
        ("top_p", openai("Unsupported parameter: 'top_p' is not supported with this model.",
            "top_p", "unsupported_parameter")),
        ("seed", openai("Unrecognized request argument supplied: seed")),
        ("seed", (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"],
            "msg": "Extra inputs are not permitted"}]})),
        ("stop", openai("Unsupported parameter: 'stop' is not supported with this model.", "stop")),
        ("stop", openai("Invalid 'stop': array too long. Expected at most 1.", "stop")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("request_sent", [TEXT, CHAT])
def test_a_refused_field_is_dropped_once_and_for_all(field, refusal, request_sent):
    told = []
    with refusing(without(field, refusal), on_retry=told.append) as (server, client):
        assert client.ask(request_sent).texts == ("ok",)
        assert client.ask(request_sent).tries == 1
    first, second, third = (body for _, _, body in server.requests)
    assert set(first) - set(second) == {field} and second == third
    assert told == client.learnt == [f"{server.url}: asked without {field}, which it refuses"]


def test_an_undelivered_stop_string_cuts_the_text():
    rule = without("stop", openai("'stop' is not supported", "stop"))
    with refusing(rule, lambda body: "a b## c\nd") as (_server, client):
        assert client.ask(TEXT).texts == ("a b",)
    assert [cut(text, ("b", "ab")) for text in ("xaby", "b", "", "aa")] == ["x", "", "", "aa"]


def test_the_limit_of_a_chat_has_two_names():
    refusal = openai(
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead.", "max_tokens", "unsupported_parameter",
    )  # fmt: skip
    with refusing(without("max_tokens", refusal)) as (server, client):
        client.ask(CHAT)
        client.ask(CHAT)
    bodies = [body for _, _, body in server.requests]
    assert [body.get("max_completion_tokens") for body in bodies] == [None, 7, 7]
    assert all("max_tokens" not in body for body in bodies[1:])


def test_several_refusals_in_a_row():
    def reasoning_model(path, body):
        if path.endswith("/v1/completions"):
            return 404, {"error": {"message": "This is a chat model. Did you mean chat?"}}
        for field in ("max_tokens", "temperature", "top_p", "stop"):
            if field in body:
                return openai(f"'{field}' is not supported with this model", field)
        return None

    asked = CompletionRequest("one", 7, top_p=0.9, stop=("#",), fallback=CHAT)
    with refusing(reasoning_model) as (server, client):
        assert client.ask(asked).texts == ("ok",)
        first = len(server.requests)
        assert client.ask(asked).texts == ("ok",)
    assert len(server.requests) == first + 1 == 7
    assert set(server.requests[-1][2]) == {"model", "messages", "max_completion_tokens", "seed"}


@pytest.mark.parametrize(
    "refusal",
    [
        openai("temperature must be between 0 and 2", "temperature"),
        (422, {"detail": [{"loc": ["body", "temperature"], "msg": "Input should be at most 1.5"}]}),
        openai("'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum "
            "context length is 4096 tokens and your request has 12 input tokens"),
        openai("max_tokens is too large: 10000. This model supports at most 4096 completion tokens,"
            " whereas you provided 10000.", "max_tokens", "invalid_value"),
        openai("This model's maximum context length is 4097 tokens, however you requested 5000 "
            "(3000 in your messages, 2000 in the completion). Reduce the length of the prompt."),
        openai("Could not finish the message because max_tokens or model output limit was reached"),
        (403, {"error": {"message": "temperature is not supported for your chat plan"}}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("request_sent", [CHAT, EITHER, CHAT_FIRST])
def test_mistakes_of_the_request_are_reported(refusal, request_sent):
    with (
        refusing(lambda path, body: refusal) as (server, client),
        pytest.raises(EndpointError, match=f"status {refusal[0]}: "),
    ):
        client.ask(request_sent)
    assert len(server.requests) == 1 and client.learnt == []


ONLY_CHAT = [
    (404, {"error": {"message": "This is a chat model and not supported in the v1/completions "
        "endpoint. Did you mean to use v1/chat/completions?", "param": "model"}}),
    (404, {"detail": "Not Found"}),
    (405, {}),
    (501, []),
    openai("Missing required parameter: 'messages'"),
]  # fmt: skip
ONLY_TEXT = [
    openai("As of transformers v4.44, default chat template is no longer allowed, so you must "
        "provide a chat template if the tokenizer does not define one."),
    (404, {"detail": "Not Found"}),
    openai("you must provide a prompt: prompt is required"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_sent", "refused_path", "refusal"),
    [(EITHER, "/v1/completions", refusal) for refusal in ONLY_CHAT]
    + [(CHAT_FIRST, "/v1/chat/completions", refusal) for refusal in ONLY_TEXT],
)
def test_the_form_that_a_server_has_is_found_out(request_sent, refused_path, refusal):
    def rule(path, body):
        return refusal if path == refused_path else None

    with refusing(rule) as (server, client):
        for _ in range(3):
            assert client.ask(request_sent).texts == ("ok",)
    paths = [path for path, _, _ in server.requests]
    assert [path == refused_path for path in paths] == [True, False, False, False]


def test_the_form_stays_once_it_was_answered():
    """A later refusal that speaks of chats does not change the form of all requests."""
    answers = iter([None, openai("prompt rejected by the chat filter")])
    with (
        refusing(lambda path, body: next(answers)) as (server, client),
        pytest.raises(EndpointError) as caught,
    ):
        for _ in range(2):
            client.ask(EITHER)
    assert caught.value.refused and len(server.requests) == 2


def test_a_server_with_neither_form_is_told_in_one_line():
    def rule(path, body):
        said = "model `x` does not exist" if "chat" in path else "Not Found"
        return 404, {"error": {"message": said}}

    with (
        refusing(rule) as (server, client),
        pytest.raises(EndpointError) as caught,
    ):
        client.ask(EITHER)
    assert str(caught.value) == (
        f"{server.url}/completions: status 404: Not Found; "
        f"{server.url}/chat/completions: status 404: model `x` does not exist"
    )
    assert caught.value.final


def test_without_a_fallback_the_form_is_kept():
    with (
        refusing(lambda path, body: ONLY_CHAT[0]) as (server, client),
        pytest.raises(EndpointError, match="Did you mean"),
    ):
        client.ask(TEXT)
    assert len(server.requests) == 1


def test_what_is_learnt_holds_for_requests_beside_each_other():
    rule = without("temperature", openai("temperature is not supported"))
    with refusing(rule, lambda body: body["prompt"], concurrency=4, pause=0.01) as (server, client):
        asks = [CompletionRequest(str(number)) for number in range(24)]
        answers = dict(client.ask_all(asks))
    assert {i: reply.texts[0] for i, reply in answers.items()} == {i: str(i) for i in range(24)}
    assert sum("temperature" in body for _, _, body in server.requests) <= 8
    assert len(client.learnt) == 1
