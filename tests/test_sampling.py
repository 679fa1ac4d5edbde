"""Sampling against transformers: greedy tokens, distributions; stop strings, rows alone."""

import copy
import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.generation import TemperatureLogitsWarper, TopPLogitsWarper

from semcoder_jax import hf, sampling
from semcoder_jax.checkpoints import Model, load_model
from semcoder_jax.model import Decoder
from semcoder_jax.sampling import SamplingError, SamplingParams, generate
from tests.stories260k import write_hf_directory

STORY_PROMPTS = [
    "Once upon a time",
    "Lily and Tom went to the park. They saw a big dog",
    "The",
    "One day, a little boy named Tim found a red ball under his bed. He was very happy and he "
    "wanted to show it to his mom. He ran to the kitchen and said",
    "It was raining",
    "\n",
    "Ünïcode 猫 text, which is spelled in bytes",
]


@pytest.fixture(scope="module")
def stories(shared_data, tmp_path_factory):
    directory = write_hf_directory(shared_data, tmp_path_factory.mktemp("stories260k"))
    return load_model(directory), LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)


@pytest.fixture(scope="module")
def deepseek_shaped(tmp_path_factory):
    """A random model with grouped queries and linear RoPE scaling; weights large enough that its
    greedy text is not one token repeated."""
    directory = tmp_path_factory.mktemp("random")
    torch.manual_seed(0)
    oracle = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=96,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            rms_norm_eps=1e-6,
            rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 100_000.0},
            tie_word_embeddings=False,
            initializer_range=0.2,
            bos_token_id=0,
            eos_token_id=None,
        )
    )
    oracle.save_pretrained(directory)
    config, params = hf.load(directory)
    graphdef, _ = nnx.split(nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0))))
    return Model(config, graphdef, params, Letters(96)), oracle


class Letters:
    """A tokenizer of one letter a token, with the few methods that sampling asks for."""

    bos_token_id = 0
    eos_token_id = None

    def __init__(self, size):
        self._size = size

    def get_vocab(self):
        return {chr(0x100 + i): i for i in range(self._size)}

    def encode(self, text, add_special_tokens):
        assert not add_special_tokens
        return [ord(letter) - 0x100 for letter in text]

    def decode(self, tokens, skip_special_tokens, clean_up_tokenization_spaces):
        return "".join(chr(0x100 + token) for token in tokens)


torch.set_num_threads(1)  # threads of tiny products wait for each other on a busy machine


def oracle_tokens(oracle, tokens, max_new_tokens):
    """transformers' own greedy loop, a prompt at a time, so that nothing is padded."""
    output = oracle.generate(
        torch.tensor([tokens]),
        attention_mask=torch.ones(1, len(tokens), dtype=torch.long),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        pad_token_id=0,
    )
    return tuple(output[0, len(tokens) :].tolist())


def test_greedy_equals_transformers_on_real_weights(stories):
    model, oracle = stories
    generations = generate(model, STORY_PROMPTS, SamplingParams(max_new_tokens=70), progress=None)
    for prompt, generation in zip(STORY_PROMPTS, generations, strict=True):
        tokens = [1, *model.tokenizer.encode(prompt, add_special_tokens=False)]
        assert generation.tokens == oracle_tokens(oracle, tokens, 70), prompt
        assert generation.finish_reason == "length"
        whole = model.tokenizer.decode(tokens + list(generation.tokens), skip_special_tokens=True)
        assert model.tokenizer.decode(tokens, skip_special_tokens=True) + generation.text == whole


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
    ending = dataclasses.replace(model, tokenizer=tokenizer)
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


@pytest.mark.parametrize(("temperature", "top_p"), [(0.7, 1.0), (1.3, 0.8), (1.0, 0.35)])
def test_choices_follow_the_distribution_of_transformers(temperature, top_p):
    num_real, draws = 20, 20_000
    logits = np.random.default_rng(5).normal(size=24).astype(np.float32) * 2
    logits[4] = logits[9]  # a tie
    logits[num_real:] = 9.0  # padding rows of the vocabulary
    scores = torch.tensor(logits[None, :num_real])
    scores = TemperatureLogitsWarper(temperature)(None, scores)
    scores = TopPLogitsWarper(top_p)(None, scores)
    expected = torch.softmax(scores, -1)[0].numpy()
    sampler = sampling.Sampler(num_real, (), random=True, nucleus=top_p < 1)
    chosen = sampling.choose(
        jnp.broadcast_to(logits, (draws, 24)),
        jax.random.split(jax.random.key(0), draws),
        jnp.full(draws, temperature),
        jnp.full(draws, top_p),
        sampler,
    )
    share = np.bincount(np.asarray(chosen), minlength=24) / draws
    assert not share[num_real:].any()
    assert not share[:num_real][expected == 0].any()
    sigma = np.sqrt(expected * (1 - expected) / draws)
    assert np.all(np.abs(share[:num_real] - expected) <= 5 * sigma + 1e-9)


def test_rows_of_one_batch_may_differ_in_temperature():
    logits = jnp.array([[0.0, 0.1, 0.2], [0.0, 0.1, 0.2]]).repeat(200, 0)
    temperature = jnp.array([0.0, 50.0]).repeat(200)
    keys = jax.random.split(jax.random.key(0), 400)
    sampler = sampling.Sampler(3, (), random=True, nucleus=False)
    chosen = np.asarray(sampling.choose(logits, keys, temperature, jnp.ones(400), sampler))
    assert (chosen[:200] == 2).all()
    assert set(chosen[200:].tolist()) == {0, 1, 2}


def test_padding_rows_of_the_vocabulary_are_never_chosen(deepseek_shaped):
    model, _ = deepseek_shaped
    small = dataclasses.replace(model, tokenizer=Letters(50))
    prompts = [[1, 2, 3], [4]]
    params = SamplingParams(60)
    free = generate(model, prompts, params, progress=None)
    held = generate(small, prompts, params, progress=None)
    assert max(max(row.tokens) for row in free) >= 50
    assert max(max(row.tokens) for row in held) < 50


def test_a_decoding_step_rearranges_no_cache(deepseek_shaped):
    """Scratch memory of a chunk stays well under the cache, which is updated in place."""
    model, _ = deepseek_shaped
    B, S = 16, 256
    sampler = sampling.Sampler(96, (), random=False, nucleus=False)
    zeros_B = np.zeros(B, np.int32)
    state = sampling.prefill(
        model.graphdef,
        model.params,
        np.ones((B, 32), np.int32),
        zeros_B + 20,
        zeros_B + 100,
        jax.random.split(jax.random.key(0), B),
        np.zeros(B, np.float32),
        np.ones(B, np.float32),
        cache_length=S,
        max_new_tokens=128,
        sampler=sampler,
    )
    stopped_B = np.zeros(B, bool)
    args = (model.graphdef, model.params, state, stopped_B)
    memory = sampling.decode.lower(*args, sampler=sampler).compile().memory_analysis()
    cache_bytes = sum(array.nbytes for array in state.cache)
    assert memory.alias_size_in_bytes >= cache_bytes
    # One layer's keys and values may be read out (a third of the three layers' cache).
    assert memory.temp_size_in_bytes < 0.6 * cache_bytes
    sampling.decode(*args, sampler=sampler)
    assert state.cache.k_LxBxGxSxK.is_deleted()


def test_lengths_of_every_kind_share_a_few_programs(deepseek_shaped):
    model, _ = deepseek_shaped
    before = sampling.prefill._cache_size(), sampling.decode._cache_size()
    for length in range(1, 32):
        prompts = [[5] * length] * (3 + length % 2)
        generate(model, prompts, SamplingParams(max_new_tokens=2 + length % 7), progress=None)
    assert sampling.prefill._cache_size() - before[0] <= 1
    assert sampling.decode._cache_size() - before[1] <= 1


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


def test_text_of_bytes_that_form_one_character(shared_data):
    """DeepSeekCoder's byte-level BPE spells one character with several tokens: a stop string of
    such characters is found exactly when its last byte has come."""
    tokenizer = hf.read_tokenizer(shared_data / "tokenizer")
    ids = tokenizer.encode("x = '🦜🪁é' # [/ANSWER] more", add_special_tokens=False)
    for stop in ("🪁", "é'", "[/ANSWER]"):
        row = sampling.RowText(tokenizer, [32013], (stop,))
        for n in range(len(ids) + 1):
            generation = row.finished(ids[:n], done=False, eos_ids=(32014,))
            if generation is not None:
                break
        assert stop in tokenizer.decode(ids[:n])
        assert stop not in tokenizer.decode(ids[: n - 1])
        assert json.dumps(generation.text) == json.dumps(tokenizer.decode(ids).split(stop)[0])
        # Found late, the row is the same.
        late = sampling.RowText(tokenizer, [32013], (stop,))
        assert late.finished(ids, done=True, eos_ids=()) == generation
