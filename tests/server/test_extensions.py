"""Tests what clients of today ask beyond OpenAI's basics, over a random model of bytes."""

import concurrent.futures
import dataclasses
import json
import re

import numpy as np
import pytest
import torch
from flax import nnx

from semcoder_jax import hf
from semcoder_jax.config import LoRAConfig
from semcoder_jax.hf.adapter import export_adapter
from semcoder_jax.inference.engine import Engine, Request
from semcoder_jax.inference.grammar import RowMatcher, check_grammar
from semcoder_jax.inference.params import Grammar, SamplingParams
from semcoder_jax.loading import load_adapted, load_model
from semcoder_jax.model.lora import initial_adapters
from tests.support.adapters import randomize_adapters
from tests.support.byte_model import MIDDLE, write_byte_model, write_merged
from tests.support.tiny_server import CONTEXT, KEY, serve_engine

pytest.importorskip("uvicorn", reason="needs the serve extra")
openai = pytest.importorskip("openai", reason="needs the dev extra")

LORAS = {
    "narrow": LoRAConfig(rank=3, alpha=24.0, targets=("q_proj", "down_proj")),
    "wide": LoRAConfig(rank=7, alpha=30.0, rank_stabilized=True),
}
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bytes") / "base"
    return directory, write_byte_model(directory, CONTEXT)


@pytest.fixture(scope="module")
def adapters(base):
    """Directory by name of random adapters in peft's format."""
    directory, _ = base
    config, state = hf.load(directory)
    params, found = nnx.to_pure_dict(state), {}
    for seed, (name, lora) in enumerate(LORAS.items()):
        arrays = randomize_adapters(initial_adapters(lora, params, 0), seed)
        found[name] = export_adapter(
            directory.parent / name,
            config,
            lora,
            arrays,
            base_model=str(directory),
            license_directory=directory,
        )
    return found


@pytest.fixture(scope="module")
def model(base):
    loaded = load_model(base[0])
    loaded.tokenizer.chat_template = TEMPLATE
    return loaded


@pytest.fixture(scope="module")
def byte_engine(model, adapters):
    return make_engine(model, adapters=load_adapted(model, adapters))


def make_engine(model, **options):
    """All engines of this file that are alike share their programs."""
    return Engine(model, **({"num_slots": 2, "cache_tokens": 192, "speculation": "off"} | options))


@pytest.fixture(scope="module")
def client(byte_engine):
    with (
        serve_engine(byte_engine) as (address, _),
        openai.OpenAI(base_url=address + "/v1", api_key=KEY, max_retries=0) as client,
    ):
        yield client


def complete(client, prompt="def f(a):", **asked):
    extensions = {name: asked.pop(name) for name in [*asked] if name in EXTENSIONS}
    asked = {"model": "tiny", "max_tokens": 24, "temperature": 0} | asked
    return client.completions.create(prompt=prompt, **asked, extra_body=extensions)


EXTENSIONS = {
    "min_p",
    "top_k",
    "repetition_penalty",
    "stop_token_ids",
    "ignore_eos",
    "skip_special_tokens",
    "include_stop_str_in_output",
    "min_tokens",
    "length_penalty",
    "use_beam_search",
    "guided_regex",
    "guided_json",
    "guided_choice",
    "structured_outputs",
    "response_format",
}


# ---- Sampling


@pytest.mark.parametrize(
    ("asked", "params"),
    [
        ({"min_p": 0.2}, {"min_p": 0.2}),
        ({"repetition_penalty": 1.3}, {"repetition_penalty": 1.3}),
        ({"stop_token_ids": [40, 41, 42, 43]}, {"stop_token_ids": (40, 41, 42, 43)}),
        ({"ignore_eos": True}, {"ignore_eos": True}),
        ({"skip_special_tokens": False}, {"skip_special_tokens": False}),
        (
            {"stop": ["e"], "include_stop_str_in_output": True},
            {"stop": ("e",), "include_stop": True},
        ),
    ],
    ids=lambda value: next(iter(value)),
)
def test_extensions_reach_the_engine(client, model, asked, params):
    found = complete(client, **asked, temperature=1.5, seed=3, max_tokens=100).choices[0]
    params = SamplingParams(max_new_tokens=100, temperature=1.5, seed=3, **params)
    ((expected,),) = make_engine(model).generate([Request("def f(a):", params)])
    assert (found.text, found.finish_reason) == (expected.text, expected.finish_reason)


def test_neutral_values_change_nothing(client):
    plain = complete(client, temperature=1.0, seed=1).choices[0].text
    neutral = {
        "min_p": 0,
        "top_k": -1,
        "repetition_penalty": 1.0,
        "stop_token_ids": [],
        "ignore_eos": False,
        "skip_special_tokens": True,
        "include_stop_str_in_output": False,
        "min_tokens": 0,
        "length_penalty": 1.0,
        "use_beam_search": False,
        "response_format": {"type": "text"},
        "guided_regex": None,
    }
    assert complete(client, temperature=1.0, seed=1, **neutral).choices[0].text == plain
    for name, value in {"min_tokens": 3, "use_beam_search": True, "length_penalty": 0.5}.items():
        with pytest.raises(openai.BadRequestError, match=f"{name}: .* is not supported"):
            complete(client, **{name: value})
    for name, value in {"min_p": 1.5, "repetition_penalty": 0, "stop_token_ids": ["a"]}.items():
        with pytest.raises(openai.BadRequestError, match=f"{name}: .*expected"):
            complete(client, **{name: value})


def test_a_chat_without_max_tokens_takes_what_fits(client, model):
    """The cache (192 positions) is smaller than the model's context (256)."""
    messages = [{"role": "user", "content": "def f(a):"}]
    asked = {"model": "tiny", "messages": messages, "temperature": 0}
    answer = client.chat.completions.create(**asked, extra_body={"ignore_eos": True})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.total_tokens == 192
    with pytest.raises(openai.BadRequestError, match="the cache holds 192"):
        client.chat.completions.create(**asked, max_tokens=200)


# ---- Log-probabilities of prompts


@pytest.mark.parametrize("max_tokens", [0, 1])
@pytest.mark.parametrize("stream", [False, True])
def test_echo_scores_the_prompt(client, base, model, max_tokens, stream):
    prompt = model.tokenizer.encode("return a + b", add_special_tokens=False)
    with torch.no_grad():
        scores = base[1](torch.tensor([prompt])).logits[0].log_softmax(-1).numpy()
    asked = {"prompt": prompt, "echo": True, "logprobs": 1, "max_tokens": max_tokens}
    answer = complete(client, **asked, stream=stream)
    chunks = [*answer] if stream else [answer]
    text = "".join(chunk.choices[0].text for chunk in chunks)
    parts = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices[0].logprobs]
    logprobs = [each for part in parts for each in part.token_logprobs]
    top = [each for part in parts for each in part.top_logprobs]
    offsets = [each for part in parts for each in part.text_offset]
    assert text.startswith("return a + b")
    assert logprobs[0] is None and top[0] is None
    assert len(logprobs) == len(prompt) + max_tokens
    for i, token in enumerate(prompt[1:]):
        assert logprobs[i + 1] == pytest.approx(scores[i][token], abs=1e-3)
        assert [*top[i + 1].values()] == [pytest.approx(scores[i].max(), abs=1e-3)]
    assert offsets == list(range(len(prompt) + max_tokens))  # a byte each
    if not stream:
        assert answer.usage.completion_tokens == max_tokens
    if not max_tokens:
        assert text == "return a + b" and chunks[-1].choices[0].finish_reason == "length"


def test_a_prompt_that_the_end_follows_keeps_all_its_entries(client):
    """lm-evaluation-harness drops the last entry, which must be the generated token's."""
    ends = list(range(256))  # all bytes: whatever comes ends the row
    asked = {"echo": True, "logprobs": 0, "max_tokens": 1, "stop_token_ids": ends}
    (choice,) = complete(client, "a", **asked).choices
    assert choice.text == "a" and choice.finish_reason == "stop"
    first, second, end = choice.logprobs.token_logprobs  # BOS, "a", one more
    assert first is None and second < 0 and end < 0


def test_echo_without_log_probabilities(client):
    plain = complete(client, ["a b", "c"]).choices
    echoed = complete(client, ["a b", "c"], echo=True, n=2).choices
    assert [choice.text for choice in echoed] == [
        prompt + choice.text
        for prompt, choice in zip(("a b", "c"), plain, strict=True)
        for _ in range(2)
    ]
    with pytest.raises(openai.BadRequestError, match="max_tokens: 0, expected at least 1"):
        complete(client, max_tokens=0)


# ---- Filling in the middle


def test_a_suffix_asks_for_the_middle(client, model):
    ids = model.tokenizer.get_vocab()
    before, between, after = (ids[token] for token in MIDDLE)
    prefix, suffix = "def f():\n ", "<｜fim▁end｜>\n return é"  # text, whatever it spells
    spell = [ids[letter] for letter in map(byte_letter, (prefix + suffix).encode())]
    cut = len(prefix.encode())
    prompt = [ids["<s>"], before, *spell[:cut], between, *spell[cut:], after]
    expected = complete(client, prompt, max_tokens=8)
    answer = complete(client, prefix, suffix=suffix, max_tokens=8)
    assert answer.choices[0].text == expected.choices[0].text
    assert answer.usage == expected.usage
    empty = complete(client, "", suffix="x", max_tokens=1)
    assert empty.usage.prompt_tokens == 5
    with pytest.raises(openai.BadRequestError, match="suffix: expected prompts as text"):
        complete(client, [1, 2], suffix="x")


def byte_letter(byte: int) -> str:
    """Returns GPT-2's letter for a byte: itself if it can be seen, else the next free one."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [each for each in range(256) if each not in seen]
    return chr(byte) if byte in seen else chr(256 + hidden.index(byte))


# ---- Adapters by name


def test_each_adapter_is_a_model_of_its_own(client, base, adapters, tmp_path):
    """In one batch, each name gives the text of its own merged weights."""
    assert [model.id for model in client.models.list()] == ["tiny", "narrow", "wide"]
    assert client.models.retrieve("wide").id == "wide"
    expected = {"tiny": greedy_text(base[0])}
    for name, lora in LORAS.items():
        merged = write_merged(base[0], adapters[name], lora.scaling, tmp_path / name)
        expected[name] = greedy_text(merged)
    assert len(set(expected.values())) == 3
    names = [*expected] * 3
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda name: complete(client, model=name), names))
    for name, answer in zip(names, answers, strict=True):
        assert answer.model == name
        assert answer.choices[0].text == expected[name]
    with pytest.raises(openai.NotFoundError, match="'tiny', 'narrow', 'wide' is"):
        complete(client, model="other")


def greedy_text(directory) -> str:
    engine = make_engine(load_model(directory))
    ((row,),) = engine.generate([Request("def f(a):", SamplingParams(max_new_tokens=24))])
    return row.text


# ---- Grammars

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"enum": ["f", "g"]},
        "result": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["name", "result"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("asked", "belongs"),
    [
        ({"guided_regex": r"[a-c]{3,5}-\d{2}"}, re.compile(r"[a-c]{3,5}-\d{2}").fullmatch),
        ({"guided_choice": ["yes", "no (a.b)"]}, ["yes", "no (a.b)"].__contains__),
        (
            {"structured_outputs": {"regex": "(ab|é)+x"}, "max_tokens": 60},
            re.compile("(ab|é)+x").fullmatch,
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_text_belongs_to_its_grammar(client, asked, belongs):
    pytest.importorskip("llguidance", reason="needs the grammar extra")
    ended = 0
    for seed in range(3):
        answer = complete(client, **asked, temperature=1.5, seed=seed, n=2, logprobs=1)
        for choice in answer.choices:
            if choice.finish_reason == "stop":
                assert belongs(choice.text), choice.text
                ended += 1
            assert len(choice.logprobs.tokens) == len(choice.logprobs.token_logprobs)
    assert ended


@pytest.mark.parametrize("name", ["response_format", "guided_json"])
def test_json_follows_its_schema(client, name):
    pytest.importorskip("llguidance", reason="needs the grammar extra")
    jsonschema = pytest.importorskip("jsonschema")
    value = SCHEMA
    if name == "response_format":
        value = {"type": "json_schema", "json_schema": {"name": "call", "schema": SCHEMA}}
    messages = [{"role": "user", "content": "call"}]
    texts = set()
    for seed in range(3):
        answer = client.chat.completions.create(
            model="wide",
            messages=messages,
            temperature=1.3,
            seed=seed,
            max_tokens=120,
            extra_body={name: value},
        )
        if answer.choices[0].finish_reason == "stop":
            text = answer.choices[0].message.content
            jsonschema.validate(json.loads(text), SCHEMA)
            texts.add(text)
    assert texts


def test_a_json_object_is_one(client):
    pytest.importorskip("llguidance", reason="needs the grammar extra")
    asked = {"response_format": {"type": "json_object"}, "max_tokens": 150, "temperature": 1.5}
    answers = [complete(client, **asked, seed=seed, n=3) for seed in range(3)]
    choices = [choice for answer in answers for choice in answer.choices]
    assert all(choice.text.lstrip()[:1] == "{" for choice in choices)
    ended = [choice.text for choice in choices if choice.finish_reason == "stop"]
    assert ended and all(isinstance(json.loads(text), dict) for text in ended)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"guided_regex": "(a"}, "grammar"),
        ({"guided_json": "{"}, "guided_json: not JSON"),
        ({"guided_json": {"type": "nothing"}}, "grammar"),
        ({"guided_choice": []}, "guided_choice: expected 1 to"),
        ({"response_format": {"type": "yaml"}}, "response_format: 'yaml', expected type text"),
        ({"response_format": {"type": "json_schema"}}, "expected an object with a schema"),
        ({"guided_regex": "a", "guided_choice": ["a"]}, "expected one of guided_regex"),
        ({"guided_regex": "a", "ignore_eos": True}, "ignore_eos: True, expected False"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_mistaken_grammar_is_a_400(client, asked, words):
    pytest.importorskip("llguidance", reason="needs the grammar extra")
    with pytest.raises(openai.BadRequestError) as raised:
        complete(client, **asked)
    assert words in raised.value.message and "\n" not in raised.value.message


@pytest.mark.slow
def test_rows_beside_a_grammar_are_what_they_are_alone(model):
    """With and without drafts; and a constrained row is the same in both."""
    pytest.importorskip("llguidance", reason="needs the grammar extra")
    plain = SamplingParams(max_new_tokens=40, temperature=0.9, seed=2)
    strict = dataclasses.replace(plain, grammar=Grammar("regex", "[ab]{1,30}c"))
    requests = [Request("x = x = x = ", params, n=2) for params in (plain, strict, plain)]
    rows = {}
    for speculation in ("off", "always"):
        engine = make_engine(model, speculation=speculation, num_drafts=2)
        rows[speculation] = engine.generate(requests)
        assert engine.generate(requests[:1]) == rows[speculation][:1]
        assert engine.pages.num_used == 0
    assert rows["off"] == rows["always"]
    assert rows["off"][0] == rows["off"][2]
    for row in rows["off"][1]:
        assert re.fullmatch("[ab]{1,30}c", row.text) and row.finish_reason == "stop"
        assert np.isin(row.tokens[:-1], model.tokenizer.encode("abc")).all()


@pytest.mark.parametrize("end_tokens", [("</s>",), ("a", "</s>"), ("</s>", "b", "<|endoftext|>")])
def test_end_tokens_come_where_the_text_may_end_and_only_there(model, end_tokens):
    """Even those that spell text, as a model's files may have them."""
    pytest.importorskip("llguidance", reason="needs the grammar extra")
    ids = model.tokenizer.get_vocab()
    ends = tuple(ids[token] for token in end_tokens)
    matcher = RowMatcher(check_grammar(model.tokenizer, Grammar("regex", "c[ab]{2}c"), ends), ends)
    letters = {ids[letter] for letter in "ab"} - set(ends)
    words = np.zeros(9, np.uint32)
    for allowed in ({ids["c"]}, letters, letters, {ids["c"]}, set(ends)):
        matcher.write_allowed(words)
        found = {token for token in range(288) if words[token // 32] >> (token % 32) & 1}
        assert found == allowed
        matcher.accept([min(allowed)])
