"""Tests the server with the real `openai` client and plain HTTP, over a small real model."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from flax import nnx

from data_pipeline.endpoint import client as endpoint
from semcoder_jax import hf
from semcoder_jax.config import LoRAConfig
from semcoder_jax.inference.engine import Engine, Request
from semcoder_jax.inference.params import SamplingParams
from tests.support.adapters import export_random_adapters

uvicorn = pytest.importorskip("uvicorn", reason="needs the serve extra")
openai = pytest.importorskip("openai", reason="needs the dev extra")
httpx = pytest.importorskip("httpx2", reason="comes with openai 3")

from semcoder_jax.commands.serve import main  # noqa: E402
from semcoder_jax.server.prometheus import ServerMetrics  # noqa: E402
from tests.support.tiny_server import CONTEXT, KEY, SLOTS, WAITING  # noqa: E402

REPOSITORY = Path(__file__).parents[2]
TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'nobody' %}{{ raise_exception('no nobody') }}"
    "{% endif %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
)


@pytest.fixture
def template(model):
    model.tokenizer.chat_template = TEMPLATE
    yield
    model.tokenizer.chat_template = None


def settled(served):
    """Wait for the engine to have nothing left."""
    _, thread = served
    deadline = time.monotonic() + 60
    while (thread.num_open or thread.engine.busy) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not thread.num_open and not thread.engine.busy
    assert thread.engine.pages.num_used == 0


def test_completions_are_the_engines(client, model):
    asked = {"max_tokens": 20, "temperature": 0.8, "top_p": 0.9, "seed": 5, "n": 2}
    answer = client.completions.create(model="tiny", prompt=["def f(a):", "a"], **asked)
    alone = Engine(model, num_slots=SLOTS, speculation="off")
    params = SamplingParams(max_new_tokens=20, temperature=0.8, top_p=0.9, seed=5)
    expected = [
        generation
        for rows in alone.generate(
            [Request("def f(a):", params, n=2), Request("a", params, n=2, first_sample=2)]
        )
        for generation in rows
    ]
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [choice.text for choice in answer.choices] == [g.text for g in expected]
    assert [c.finish_reason for c in answer.choices] == [g.finish_reason for g in expected]
    assert answer.usage.completion_tokens == sum(len(g.tokens) for g in expected)
    encode = model.tokenizer.encode
    assert answer.usage.prompt_tokens == sum(
        len(encode(text, add_special_tokens=False)) + (model.tokenizer.bos_token_id is not None)
        for text in ("def f(a):", "a")
    )


def test_a_stream_adds_up_to_the_whole(client):
    asked = {"model": "tiny", "prompt": "x = [1, 2]\n", "max_tokens": 40, "temperature": 0.9}
    asked |= {"seed": 3, "n": 2, "logprobs": 2}
    whole = client.completions.create(**asked)
    chunks = list(
        client.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    texts, reasons, logprobs = ["", ""], {}, [[], []]
    for chunk in chunks[:-1]:
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            if choice.logprobs:
                logprobs[choice.index] += choice.logprobs.token_logprobs
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
    assert texts == [choice.text for choice in whole.choices]
    assert reasons == {choice.index: choice.finish_reason for choice in whole.choices}
    assert logprobs == [choice.logprobs.token_logprobs for choice in whole.choices]
    assert chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1
    assert len(chunks) > 4  # it did come in portions


def test_logprobs_are_those_of_the_model(client, model):
    prompt = model.tokenizer.encode("return the answer", add_special_tokens=False)
    answer = client.completions.create(
        model="tiny", prompt=prompt, max_tokens=6, temperature=0, logprobs=3
    )
    found = answer.choices[0].logprobs
    (rows,) = Engine(model, num_slots=SLOTS, speculation="off").generate(
        [Request(prompt, SamplingParams(max_new_tokens=6, logprobs=3))]
    )
    assert found.token_logprobs == [entry.chosen for entry in rows[0].logprobs]
    assert found.tokens == [model.tokenizer.decode([token]) for token in rows[0].tokens]
    for text, chosen, top in zip(
        found.tokens, found.token_logprobs, found.top_logprobs, strict=True
    ):
        assert max(top.values()) == top[text] == chosen  # greedy


def test_a_stop_string_ends_and_is_cut(client):
    asked = {"model": "tiny", "prompt": "def f(a):", "max_tokens": 60, "temperature": 0}
    text = client.completions.create(**asked).choices[0].text
    stop = text[len(text) // 2 :][:3]
    choice = client.completions.create(**asked, stop=[stop, "never"]).choices[0]
    assert (choice.text, choice.finish_reason) == (text[: text.index(stop)], "stop")


def test_chat_uses_the_template(client, template, model):
    messages = [
        {"role": "system", "content": "return"},
        {"role": "user", "content": [{"type": "text", "text": "the answer"}]},
    ]
    asked = {"model": "tiny", "messages": messages, "max_completion_tokens": 12, "temperature": 0}
    answer = client.chat.completions.create(**asked, logprobs=True, top_logprobs=2)
    rendered = "system: return\nuser: the answer\nassistant:"
    tokens = model.tokenizer.encode(rendered, add_special_tokens=False)
    plain = client.completions.create(model="tiny", prompt=tokens, max_tokens=12, temperature=0)
    assert answer.choices[0].message.content == plain.choices[0].text
    assert answer.choices[0].message.role == "assistant"
    assert answer.usage.prompt_tokens == len(tokens)
    entries = answer.choices[0].logprobs.content
    assert len(entries) == answer.usage.completion_tokens
    assert all(entry.logprob == entry.top_logprobs[0].logprob for entry in entries)

    chunks = list(client.chat.completions.create(**asked, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == plain.choices[0].text
    assert chunks[-1].choices[0].finish_reason == plain.choices[0].finish_reason

    with pytest.raises(openai.BadRequestError, match="no nobody"):
        client.chat.completions.create(model="tiny", messages=[{"role": "nobody", "content": "x"}])


def test_chat_without_a_template_is_a_400(client):
    with pytest.raises(openai.BadRequestError, match="no chat template; ask /v1/completions"):
        client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "x"}])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "prompt: expected a string"),
        ({"prompt": ""}, "prompt: empty"),
        ({"prompt": []}, "prompt: expected"),
        ({"prompt": [1, "a"]}, "prompt: expected"),
        ({"prompt": [10_000]}, "token 10000, expected 0 to"),
        ({"prompt": [1] * CONTEXT}, "prompt: 256 tokens, this server takes at most 255"),
        ({"prompt": "a \ud800"}, "lone surrogate"),
        ({"prompt": "a", "n": 6}, "n: 6, this server gives at most 5"),
        ({"prompt": ["a"] * 3, "n": 2}, "n: 2 for each of 3 prompts"),
        ({"prompt": "a", "n": 0}, "n: 0, expected at least 1"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens: 0, expected at least 1"),
        ({"prompt": "a", "max_tokens": 1.5}, "max_tokens: 1.5, expected an integer"),
        ({"prompt": "a", "temperature": -1}, "temperature: -1.0, expected 0"),
        ({"prompt": "a", "temperature": True}, "temperature: True, expected a number"),
        ({"prompt": "a", "top_p": 0}, "top_p: 0.0, expected 0 < top_p"),
        ({"prompt": "a", "seed": 2**40}, "seed: 1099511627776, expected a 32-bit"),
        ({"prompt": "a", "stop": ""}, "stop: expected at most"),
        ({"prompt": "a", "logprobs": 21}, "logprobs: 21, expected 0 to 20"),
        ({"prompt": "a", "echo": "yes"}, "echo: 'yes', expected true or false"),
        ({"prompt": "a", "suffix": "b"}, "suffix: this model's tokenizer has no tokens for"),
        ({"prompt": "a", "presence_penalty": 0.5}, "presence_penalty: 0.5 is not supported"),
        ({"prompt": "a", "best_of": 3}, "best_of: only the value of n"),
        ({"prompt": "a", "temperature": -0.1}, "temperature: -0.1, expected 0 (greedy) to 2"),
        ({"prompt": "a", "temperature": 2.1}, "temperature: 2.1, expected 0 (greedy) to 2"),
        ({"prompt": "a", "temperature": 1e300}, "temperature: 1e+300, expected"),
        ({"prompt": ["a"] * 6}, "prompt: 6 prompts, this server gives at most 5 samples"),
        ({"prompt": "a", "temprature": 1}, "temprature: unknown field"),
    ],
)
def test_a_bad_request_is_one_clear_line(post, body, words):
    answer = post(**body)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert words in error["message"] and "\n" not in error["message"]
    assert error["type"] == "invalid_request_error"


def test_bodies_that_are_no_request(served):
    address, _ = served
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    url = address + "/v1/completions"
    for content in (b"{", b"[1]", b'{"prompt": "a", "temperature": NaN}', b"[" * 100_000, b"\xff"):
        assert httpx.post(url, content=content, headers=headers).status_code == 400, content[:9]
    plain = headers | {"Content-Type": "text/plain"}  # what a foreign web page may send
    assert httpx.post(url, content=b'{"prompt": "a"}', headers=plain).status_code == 415
    large = httpx.post(url, content=b" " * ((16 << 20) + 1), headers=headers, timeout=60)
    assert large.status_code == 413
    assert httpx.get(url, headers=headers).status_code == 405
    assert httpx.get(address + "/v2", headers=headers).json()["error"]["message"]


def test_another_model_is_not_found(served, client, post):
    with pytest.raises(openai.NotFoundError) as raised:
        client.completions.create(model="other", prompt="a")
    assert raised.value.code == "model_not_found" and raised.value.param == "model"
    assert "'other' is not served here, 'tiny' is" in raised.value.message
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("other")
    assert raised.value.code == "model_not_found"


def test_an_assistant_turn_without_text(client, post, template):
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": None}]
    counted = client.chat.completions.create(model="tiny", messages=turns, max_tokens=1)
    empty = [turns[0], {"role": "assistant", "content": ""}]
    same = client.chat.completions.create(model="tiny", messages=empty, max_tokens=1)
    assert counted.usage.prompt_tokens == same.usage.prompt_tokens > 0
    for role in ("user", "system"):
        turns = [{"role": role, "content": None}]
        answer = post("/v1/chat/completions", messages=turns)
        assert answer.status_code == 400
        assert "messages[0].content" in answer.json()["error"]["message"]


def test_the_key(served, client):
    address, _ = served
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").id == "tiny"
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}):
        for path in ("/v1/models", "/v1/models/tiny", "/metrics"):
            assert httpx.get(address + path, headers=headers).status_code == 401
        answer = httpx.post(address + "/v1/completions", headers=headers, json={"prompt": "a"})
        assert answer.status_code == 401
    assert httpx.get(address + "/health").status_code == 200


def test_a_full_queue_is_a_429(served, post, monkeypatch):
    """SLOTS + WAITING samples are taken, no more; when they have ended there is room again."""
    settled(served)
    _, thread = served
    step, goes_on = thread.engine.step, threading.Event()

    def held_step():
        goes_on.wait(60)
        return step()

    monkeypatch.setattr(thread.engine, "step", held_step)
    codes = []
    askers = [
        threading.Thread(
            target=lambda: codes.append(post(prompt="a", max_tokens=2, n=3).status_code)
        )
        for _ in range(2)
    ]
    for asker in askers:
        asker.start()
    deadline = time.monotonic() + 60
    while thread.num_open < SLOTS + WAITING and time.monotonic() < deadline:
        time.sleep(0.01)
    full = post(prompt="b", max_tokens=1)
    goes_on.set()
    assert full.status_code == 429
    assert 1 <= int(full.headers["Retry-After"]) <= 600
    assert full.json()["error"]["type"] == "rate_limit_error"
    for asker in askers:
        asker.join(60)
    assert codes == [200, 200]
    settled(served)
    assert post(prompt="b", max_tokens=1).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_cancels(served, stream):
    settled(served)
    address, thread = served
    before = thread.engine.stats.cancelled
    host, port = address.removeprefix("http://").split(":")
    asked = {"prompt": "a", "max_tokens": 250, "temperature": 2.0, "n": 5, "stream": stream}
    body = json.dumps(asked)
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        while not thread.num_open:
            time.sleep(0.001)
    settled(served)
    assert thread.engine.stats.cancelled > before


def test_metrics_can_be_read_by_prometheus(served, client):
    parser = pytest.importorskip("prometheus_client.parser")
    settled(served)
    address, _ = served

    def read():
        answer = httpx.get(address + "/metrics", headers={"Authorization": f"Bearer {KEY}"})
        assert answer.headers["content-type"].startswith("text/plain; version=")
        text = answer.text
        families = parser.text_string_to_metric_families(text)
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    before = read()
    usage = client.completions.create(model="tiny", prompt="a", max_tokens=5, temperature=0).usage
    after = read()

    def grown(name, **labels):
        key = (f"semcoder_{name}", tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0)

    assert grown("requests_total", path="/v1/completions", status="200") == 1
    assert grown("prompt_tokens_total") == usage.prompt_tokens
    assert grown("completion_tokens_total") == usage.completion_tokens
    assert grown("request_seconds_count") == grown("request_seconds_bucket", le="+Inf") == 1
    assert after["semcoder_slots", ()] == SLOTS
    assert after["semcoder_engine_up", ()] == 1
    assert after["semcoder_cache_pages_used", ()] == 0


def test_applications_in_one_process_count_apart(served):
    _, thread = served
    one, other = ServerMetrics(thread), ServerMetrics(thread)
    one.requests.labels("/v1/completions", 200).inc()
    one.request_seconds.observe(0.3)
    counted, untouched = one.exposition("")[0], other.exposition("")[0]
    assert b'semcoder_requests_total{path="/v1/completions",status="200"} 1.0' in counted
    assert b'semcoder_request_seconds_bucket{le="0.5"} 1.0' in counted
    assert b"semcoder_requests_total{" not in untouched
    assert b"semcoder_request_seconds_count 0.0" in untouched


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--checkpoint"),
        (["--checkpoint=/nowhere", "--port=0"], "/nowhere: no such directory"),
        (["--checkpoint=/nowhere", "--port=70000"], "--port=70000: expected at most 65535"),
        (["--checkpoint=/nowhere", "--max_n=0"], "--max_n=0: expected at least 1"),
        (["--checkpoint=/nowhere", "--api_key_file=/nowhere"], "--api_key_file=/nowhere: No such"),
        (["--checkpoint=/nowhere", "--host=256.1.1.1"], "--host=256.1.1.1 --port=8000"),
        (["--checkpoint=/nowhere", "--adapter=a"], "--adapter=a: expected NAME=DIR"),
        (["--checkpoint=/nowhere", "--adapter=a=x", "--adapter=a=y"], "'a' names x already"),
        (["--checkpoint=/nowhere", "--adapter=nowhere=x"], "the model itself has that name"),
        (
            ["--checkpoint=/nowhere", "--port=0", "--adapter=a=/missing"],
            "/missing/adapter_config.json",
        ),
    ],
)
def test_a_mistaken_command_is_told_in_one_line(arguments, words, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and words in error and "\n" not in error


def test_a_taken_port_is_told(served, capsys):
    port = served[0].rsplit(":", 1)[1]
    assert main(["--checkpoint=/nowhere", f"--port={port}"]) == 2
    assert "in use" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_serves_and_drains_at_sigterm(checkpoint, tmp_path):
    """What is under way when SIGTERM comes is answered; then the process ends with status 0."""
    config, state = hf.load(checkpoint)
    lora = LoRAConfig(rank=2, alpha=8.0, targets=("q_proj",))
    params = nnx.to_pure_dict(state)
    _, adapter = export_random_adapters(
        tmp_path / checkpoint.name, config, lora, params, checkpoint
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "log"
    command = [sys.executable, "-m", "semcoder_jax.serve", f"--checkpoint={checkpoint}"]
    command += [f"--port={port}", "--num_slots=2", "--weights=int8", "--cache_dtype=int8"]
    command += [f"--adapter=tuned={adapter}"]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stderr=errors, env=os.environ | {"JAX_PLATFORMS": "cpu"}
        )
    try:
        deadline = time.monotonic() + 300
        while "serving" not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:
            asked = {"prompt": "a", "max_tokens": 8, "temperature": 0, "logprobs": 0}
            base, tuned = (
                client.completions.create(model=model, **asked).choices[0].logprobs
                for model in (checkpoint.name, "tuned")
            )
            assert base.token_logprobs[0] != tuned.token_logprobs[0]
            stream = client.completions.create(
                model=checkpoint.name, prompt="a", max_tokens=200, temperature=2.0, stream=True
            )
            chunks = [next(stream)]
            process.send_signal(signal.SIGTERM)
            chunks += stream
        assert chunks[-1].choices[0].finish_reason in ("stop", "length")
        assert process.wait(60) == 0, log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def test_our_own_client_of_endpoints(served, client, monkeypatch):
    """`data_pipeline.endpoint.client` gets what the openai client gets."""
    settled(served)
    url = f"{served[0]}/v1"
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    asked = {"temperature": 0.8, "top_p": 0.9}
    with endpoint.Client(endpoint.Endpoint(url, "tiny", concurrency=SLOTS + 2)) as ours:
        assert ours.models() == ("tiny",)
        asks = (endpoint.CompletionRequest("def f(a):", 4, seed=seed, **asked) for seed in range(6))
        replies = dict(ours.ask_all(asks))
    assert sorted(replies) == list(range(6))
    for seed, reply in replies.items():
        theirs = client.completions.create(
            model="tiny", prompt="def f(a):", max_tokens=4, seed=seed, **asked
        )
        assert reply.texts == (theirs.choices[0].text,)
        assert reply.finish_reasons == (theirs.choices[0].finish_reason,)
        assert reply.usage.prompt_tokens == theirs.usage.prompt_tokens
        assert reply.usage.completion_tokens == theirs.usage.completion_tokens
    monkeypatch.setenv("OPENAI_API_KEY", "wrong")
    with endpoint.Client(endpoint.Endpoint(url, "tiny")) as stranger:
        with pytest.raises(endpoint.EndpointError, match="status 401") as caught:
            stranger.ask(endpoint.CompletionRequest("a"))
        assert caught.value.final
    with endpoint.Client(endpoint.Endpoint(url, "other", key_variable="KEY_OF_TEST")) as unknown:
        monkeypatch.setenv("KEY_OF_TEST", KEY)
        with pytest.raises(endpoint.EndpointError):
            unknown.ask(endpoint.CompletionRequest("a"))
