"""Compares sampling with transformers: greedy tokens, distributions, stop strings, single rows."""

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from semcoder_jax import hf
from semcoder_jax.inference.generate import (
    RowText,
    SamplingError,
    SamplingParams,
    encode_prompt,
    generate,
)
from semcoder_jax.loading import load_model
from tests.support.deepseek_shaped import Letters, build
from tests.support.greedy_oracle import generate_greedily
from tests.support.stories260k import write_hf_directory

STORY_PROMPTS = [
    "Once upon a time",
    "Lily and Tom went to the park. They saw a big dog",
    "The",
    "One day, a little boy named Tim found a red ball under his bed. He was very happy and he "
    "wanted to show it to his mom. He ran to the kitchen and said",
    "It was raining",
    "\n",
    "Ünïcode 猫 text, which is spelled in bytes",
    "The sun",
    "A cat sat on the mat. The cat",
    "Mom said",
    "There was a tree. There was a tree. There was",
    "He ran",
    "In the morning, Sue",
    "x = 3",
    "The bird could not fly because",
    '"Can I play with you?" asked',
    "They were friends",
    "One night the moon was big and",
    "Ben likes red cars. Ben",
    "?",
]


@pytest.fixture(scope="module")
def stories(shared_data, tmp_path_factory):
    directory = write_hf_directory(shared_data, tmp_path_factory.mktemp("stories260k"))
    return load_model(directory), LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)


@pytest.fixture(scope="module")
def deepseek_shaped(tmp_path_factory):
    return build(tmp_path_factory.mktemp("random"))


torch.set_num_threads(1)  # threads of tiny products wait for each other on a busy machine


def oracle_tokens(oracle, tokens, max_new_tokens):
    """transformers' own greedy loop, a prompt at a time, so that nothing is padded."""
    return tuple(generate_greedily(oracle, list(tokens), max_new_tokens))


def test_greedy_equals_transformers_on_real_weights(stories):
    model, oracle = stories
    assert len(STORY_PROMPTS) == 20
    generations = generate(model, STORY_PROMPTS, SamplingParams(max_new_tokens=70), progress=None)
    for prompt, generation in zip(STORY_PROMPTS, generations, strict=True):
        tokens = [1, *model.tokenizer.encode(prompt, add_special_tokens=False)]
        assert generation.tokens == oracle_tokens(oracle, tokens, 70), prompt
        assert generation.finish_reason == "length"
        whole = model.tokenizer.decode(tokens + list(generation.tokens), skip_special_tokens=True)
        assert model.tokenizer.decode(tokens, skip_special_tokens=True) + generation.text == whole


CODE_PROMPTS = [
    "def fibonacci(n):",
    "def f(x):\n    y = x + 1\n    return y\n\nf(3) returns",
    "for i in range(10):",
    "import os\n\n",
    "class Stack:\n    def __init__(self):",
    "The capital of France is",
    "Write a function that reverses a list.\n",
    "1, 2, 3, 4,",
    "assert sorted([3, 1, 2]) ==",
    "A good way to learn is",
    "x = [1, 2]\n" * 20,
    "try:\n    value = int(text)\nexcept",
    "Ünïcode 猫",
    "SELECT name FROM",
    "#include <stdio.h>\n",
    "When n is 0 the loop",
    '{"id": 1, "name":',
    "Once upon a time",
    "def is_prime(n):\n    if n < 2:\n        return False\n",
    "?",
]


@pytest.mark.slow  # a minute on two cores
def test_greedy_equals_transformers_on_a_pretrained_model(smollm2_directory):
    model = load_model(smollm2_directory)
    oracle = LlamaForCausalLM.from_pretrained(smollm2_directory, dtype=torch.float32)
    params = SamplingParams(max_new_tokens=32)
    tokens = [encode_prompt(model.tokenizer, prompt) for prompt in CODE_PROMPTS]
    expected = [oracle_tokens(oracle, row, 32) for row in tokens]
    for speculation in ("off", "always"):
        rows = generate(model, tokens, params, batch_size=8, speculation=speculation, progress=None)
        assert [row.tokens for row in rows] == expected, speculation


def test_greedy_equals_transformers_with_grouped_queries_and_scaled_rope(deepseek_shaped):
    model, oracle = deepseek_shaped
    rng = np.random.default_rng(0)
    prompts = [rng.integers(0, 96, n).tolist() for n in (1, 33, 150)]
    generations = generate(model, prompts, SamplingParams(max_new_tokens=80), progress=None)
    for prompt, generation in zip(prompts, generations, strict=True):
        assert generation.tokens == oracle_tokens(oracle, prompt, 80)
        assert len(set(generation.tokens)) > 10


def test_a_row_ends_at_eos(stories):
    model, _ = stories
    (free,) = generate(model, ["Once"], SamplingParams(max_new_tokens=40), progress=None)
    eos = free.tokens[17]
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(eos)
    ending = dataclasses.replace(model, tokenizer=tokenizer, end_tokens=None)
    (ended,) = generate(ending, ["Once"], SamplingParams(max_new_tokens=40), progress=None)
    first = free.tokens.index(eos)
    assert ended.tokens == free.tokens[: first + 1]
    assert ended.finish_reason == "stop"
    context = [1, *model.tokenizer.encode("Once", add_special_tokens=False)]
    whole = model.tokenizer.decode(context + list(free.tokens[:first]), skip_special_tokens=True)
    assert "Once" + ended.text == whole


def test_text_is_cut_before_the_first_stop_string(stories):
    """Against the uncut greedy text: cut at the string, with the tokens that first complete it."""
    model, _ = stories
    prompts = STORY_PROMPTS[:4]
    free = generate(model, prompts, SamplingParams(max_new_tokens=110), progress=None)
    decode = model.tokenizer.decode
    for start, length in [(3, 1), (20, 4), (100, 12), (170, 7), (201, 3)]:
        stops = tuple({row.text[start : start + length] for row in free if row.text[start:]})
        params = SamplingParams(max_new_tokens=110, stop=stops)
        for prompt, whole, cut in zip(
            prompts, free, generate(model, prompts, params, progress=None), strict=True
        ):
            text = whole.text[: min(whole.text.find(s) for s in stops if s in whole.text)]
            assert cut.text == text
            assert cut.finish_reason == "stop"
            context = [1, *model.tokenizer.encode(prompt, add_special_tokens=False)]
            before = len(decode(context, skip_special_tokens=True))
            need = next(
                n
                for n in range(1, 111)
                if any(
                    s in decode(context + list(whole.tokens[:n]), skip_special_tokens=True)[before:]
                    for s in stops
                )
            )
            assert cut.tokens == whole.tokens[:need]


def test_a_stop_string_beyond_the_limit_is_not_found(stories):
    model, _ = stories
    (free,) = generate(model, ["Once"], SamplingParams(max_new_tokens=12), progress=None)
    params = SamplingParams(max_new_tokens=11, stop=(free.text[-2:],))
    (short,) = generate(model, ["Once"], params, progress=None)
    assert short.tokens == free.tokens[:11]
    assert short.finish_reason == "length"


def test_a_row_ends_where_the_context_does(deepseek_shaped):
    model, oracle = deepseek_shaped
    prompt = list(range(90)) * 2 + list(range(70))
    (generation,) = generate(model, [prompt], SamplingParams(max_new_tokens=50), progress=None)
    assert len(prompt) + len(generation.tokens) == 256
    assert generation.finish_reason == "length"
    assert generation.tokens == oracle_tokens(oracle, prompt, 6)


def test_a_sampled_row_does_not_depend_on_its_company(deepseek_shaped):
    model, _ = deepseek_shaped
    rng = np.random.default_rng(1)
    prompts = [rng.integers(0, 96, n).tolist() for n in (5, 30, 12, 5, 20)]
    params = SamplingParams(max_new_tokens=40, temperature=0.9, top_p=0.9, seed=3)
    together = generate(model, prompts, params, progress=None)
    alone = [
        generate(model, [prompt], params, row_seeds=[i], progress=None)[0]
        for i, prompt in enumerate(prompts)
    ]
    assert together == alone
    same_prompt = generate(model, [prompts[0]] * 5, params, progress=None)
    assert len(set(same_prompt)) == 5  # each row has a stream of its own
    other_seed = generate(model, prompts, dataclasses.replace(params, seed=4), progress=None)
    assert all(a != b for a, b in zip(together, other_seed, strict=True))


def test_padding_rows_of_the_vocabulary_are_never_chosen(deepseek_shaped):
    model, _ = deepseek_shaped
    small = dataclasses.replace(model, tokenizer=Letters(50))
    prompts = [[1, 2, 3], [4]]
    params = SamplingParams(60)
    free = generate(model, prompts, params, progress=None)
    held = generate(small, prompts, params, progress=None)
    assert max(max(row.tokens) for row in free) >= 50
    assert max(max(row.tokens) for row in held) < 50


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens=0"),
        ({"temperature": -1.0}, "temperature=-1.0"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"top_p": 0.0}, "top_p=0.0"),
        ({"top_p": 1.5}, "top_p=1.5"),
        ({"seed": 2**40}, "seed="),
        ({"stop": ("",)}, "stop="),
        ({"stop": "ab"}, "stop="),
        ({"top_k": -1}, "top_k=-1"),
        ({"logprobs": 21}, "logprobs=21"),
    ],
)
def test_impossible_parameters_are_named(fields, message):
    with pytest.raises(SamplingError, match=message):
        SamplingParams(**fields)


def test_impossible_prompts_are_named_before_any_work(deepseek_shaped):
    model, _ = deepseek_shaped
    with pytest.raises(SamplingError, match="prompt 1 is empty"):
        generate(model, [[1], []], SamplingParams(), progress=None)
    with pytest.raises(SamplingError, match=r"prompt 0 has 256 tokens.* context holds 256"):
        generate(model, [[1] * 256], SamplingParams(), progress=None)
    assert generate(model, [], SamplingParams(), progress=None) == []
    for prompts, message in (
        ("def f():", "got one text: put it into a list"),
        (["a", 5], "prompt 1: expected text or token ids; got int"),
        (["\ud800"], "prompt 0: expected text; it holds half a surrogate pair"),
    ):
        with pytest.raises(SamplingError, match=message):
            generate(model, prompts, SamplingParams(), progress=None)


def test_text_of_bytes_that_form_one_character(shared_data):
    """DeepSeekCoder's byte-level BPE spells one character with several tokens: a stop string of
    such characters is found exactly when its last byte has come."""
    tokenizer = hf.read_tokenizer(shared_data / "tokenizer")
    ids = tokenizer.encode("x = '🦜🪁é' # [/ANSWER] more", add_special_tokens=False)
    for stop in ("🪁", "é'", "[/ANSWER]"):
        row = RowText(tokenizer, [32013], (stop,))
        for n in range(len(ids) + 1):
            generation = row.finish(ids[:n], done=False, eos_ids=(32014,))
            if generation is not None:
                break
        assert stop in tokenizer.decode(ids[:n])
        assert stop not in tokenizer.decode(ids[: n - 1])
        assert json.dumps(generation.text) == json.dumps(tokenizer.decode(ids).split(stop)[0])
        # Found late, the row is the same.
        late = RowText(tokenizer, [32013], (stop,))
        assert late.finish(ids, done=True, eos_ids=()) == generation
