"""Tests the engine: requests are independent, slots and pages are freed, few programs compile."""

import collections
import dataclasses
import itertools
import threading

import jax
import numpy as np
import pytest
import torch
from jax.experimental.compilation_cache import compilation_cache

from semcoder_jax.inference import decoding
from semcoder_jax.inference.engine import Engine, Request
from semcoder_jax.inference.page_pool import PagePool
from semcoder_jax.inference.params import Generation, SamplingError, SamplingParams
from tests.support.deepseek_shaped import Letters, build
from tests.support.greedy_oracle import generate_greedily

SLOTS = 4
COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture(scope="module")
def model_and_oracle(tmp_path_factory):
    return build(tmp_path_factory.mktemp("random"), eos_token_id=7)


@pytest.fixture(scope="module")
def model(model_and_oracle):
    return model_and_oracle[0]


def engine_of(model, **kwargs):
    """All engines of this file that are alike share their programs."""
    kwargs = {
        "num_slots": SLOTS,
        "page_size": 16,
        "cache_tokens": 1200,
        "speculation": "off",
    } | kwargs
    return Engine(model, **kwargs)


def workload(rng, count):
    """Requests of every kind; texts and ids, short and long, several samples, stop strings."""
    requests = []
    for i in range(count):
        prompt = rng.integers(0, 96, rng.choice([1, 2, 17, 33, 60, 120])).tolist()
        params = SamplingParams(
            max_new_tokens=int(rng.choice([1, 30, 70, 130])),
            temperature=float(rng.choice([0.0, 0.7, 1.3])),
            top_p=float(rng.choice([1.0, 0.8])),
            top_k=int(rng.choice([0, 0, 10])),
            seed=int(rng.integers(0, 3)),
            stop=(chr(0x100 + rng.integers(96)),) if i % 3 == 0 else (),
            logprobs=None if i % 4 else 2,
            min_p=0.1 if i % 5 == 1 else 0.0,
            repetition_penalty=1.2 if i % 5 == 2 else 1.0,
            ignore_eos=i % 5 == 3,
        )
        requests.append(Request(prompt, params, n=int(rng.choice([1, 1, 3]))))
    return requests


def tokens_of(results):
    return [[(row.tokens, row.text, row.finish_reason) for row in rows] for rows in results]


def test_tokens_depend_on_the_request_alone(model):
    """Not on neighbours, slot, order of arrival, pages that ran out, or drafts."""
    rng = np.random.default_rng(0)
    requests = workload(rng, 14)
    engine = engine_of(model)
    together = tokens_of(engine.generate(requests))
    assert engine.stats.restarts == 0
    reasons = {reason for rows in together for _, _, reason in rows}
    assert reasons == {"stop", "length"}

    order = rng.permutation(len(requests))
    shuffled = tokens_of(engine.generate([requests[i] for i in order]))
    assert [shuffled[list(order).index(i)] for i in range(len(requests))] == together

    for request, expected in zip(requests, together, strict=True):  # quite alone
        samples = [dataclasses.replace(request, n=1, first_sample=i) for i in range(request.n)]
        assert [tokens_of(engine.generate([one]))[0][0] for one in samples] == expected

    tight = engine_of(model, cache_tokens=256)
    assert tokens_of(tight.generate(requests)) == together
    assert tight.stats.restarts > 0
    assert tight.pages.num_used == 0
    assert tight.pages.most_used * 16 <= 256

    drafting = engine_of(model, speculation="always", num_drafts=3)
    assert tokens_of(drafting.generate(requests)) == together
    assert drafting.stats.drafted_steps == drafting.stats.steps


# Wide enough that products of few and of many rows differ in their last bits on CPU.
WIDE = 512


@pytest.mark.parametrize("width", [64, pytest.param(WIDE, marks=pytest.mark.slow)])
def test_a_prompt_that_begins_like_an_earlier_one_computes_the_rest_alone(width, tmp_path):
    """Of all lengths of both parts, with samples that share it, and in a pool that runs out."""
    model = build(tmp_path, eos_token_id=7, width=width)[0]
    rng = np.random.default_rng(11)
    text = rng.integers(8, 96, 240).tolist()
    requests = [
        Request(
            [*text[:shared], *rng.integers(8, 96, rest).tolist()],
            SamplingParams(max_new_tokens=12, temperature=1.0, seed=3, logprobs=1),
            n=n,
        )
        for shared, rest, n in [
            (195, 1, 1),
            (0, 50, 1),
            (63, 33, 1),
            (64, 1, 2),
            (130, 32, 1),
            (130, 33, 2),
            (195, 40, 1),
        ]
    ]
    apart = engine_of(model, prefix_cache=False)
    expected = apart.generate(requests)
    assert apart.stats.cached_tokens == 0
    for cache_tokens in (1200, 320):
        engine = engine_of(model, cache_tokens=cache_tokens)
        # Equal log-probabilities: every bit of what the model computed is the same.
        assert engine.generate(requests) == expected
        assert engine.stats.cached_tokens % 64 == 0 and engine.pages.num_used == 0
        if cache_tokens == 1200:
            assert engine.stats.cached_tokens == 64 + 2 * 128 + 192
    again = engine_of(model)
    again.generate(requests[-1:])
    again.generate(requests[-1:])
    whole = (len(requests[-1].prompt) - 1) // 64 * 64
    assert again.stats.cached_tokens == whole


def test_prompts_share_no_blocks_across_adapters_or_after_other_tokens(model):
    """Equal tokens at other places, or below another adapter, are other keys and values."""
    rng = np.random.default_rng(12)
    block, other = rng.integers(8, 96, (2, 64)).tolist()
    engine = engine_of(model, adapters={"a": model.params})
    params = SamplingParams(max_new_tokens=1)
    engine.generate([Request([*block, 9], params)])
    for prompt, adapter in (([*other, *block, 9], None), ([*block, 9], "a"), ([9, *block], None)):
        engine.generate([Request(prompt, params, adapter=adapter)])
    assert engine.stats.cached_tokens == 0
    engine.generate([Request([*block, 8], params, adapter="a")])
    assert engine.stats.cached_tokens == 64


@pytest.mark.slow
def test_chunks_of_any_number_of_rows_give_the_same_bits(tmp_path):
    wide_model = build(tmp_path, eos_token_id=7, width=WIDE)[0]
    rng = np.random.default_rng(13)
    requests = [
        Request(
            rng.integers(8, 96, rng.integers(1, 60)).tolist(),
            SamplingParams(max_new_tokens=length, temperature=1.0, logprobs=1, ignore_eos=True),
        )
        for length in (3, 40, 9, 60, 12, 5, 50, 44, 33, 30, 20, 24, 8, 48, 10, 36, 7, 15)
    ]
    expected = None
    for num_slots in (16, 8):
        engine = engine_of(wide_model, num_slots=num_slots, cache_tokens=4000)
        if num_slots == 16:
            engine.warm_up()
        rows = engine.generate(requests)
        expected = expected or rows
        assert rows == expected
        if num_slots == 16:
            counts = {program.num_rows for program in engine._row_counts.compiled}
            assert counts == {8, 12, 16}


def test_requests_that_arrive_and_leave_at_any_time_change_no_other(model):
    """Submitted between steps in random orders, streaming or not, some cancelled on the way."""
    requests = workload(np.random.default_rng(20), 10)
    engine = engine_of(model)
    expected = tokens_of(engine.generate(requests))
    for seed in range(3):
        rng = np.random.default_rng(seed)
        waiting = [int(i) for i in rng.permutation(len(requests))]
        leaving = set(rng.choice(len(requests), 3, replace=False).tolist())
        place_of, ended = {}, {}
        while waiting or engine.busy:
            for _ in range(rng.integers(0, 4)):
                if waiting:
                    place = waiting.pop()
                    streaming = bool(rng.integers(2))
                    request = dataclasses.replace(requests[place], streaming=streaming)
                    place_of[engine.submit(request)] = place
            for ticket, place in place_of.items():
                if place in leaving and rng.random() < 0.3:
                    engine.cancel(ticket)
            for update in engine.step():
                if update.generation is not None:
                    ended[place_of[update.ticket], update.sample] = update.generation
        assert engine.pages.num_used == 0
        for place, rows in enumerate(expected):
            for sample, (tokens, text, reason) in enumerate(rows):
                generation = ended.pop((place, sample))
                if generation.finish_reason == "cancelled":
                    assert place in leaving
                    assert generation.tokens == tokens[: len(generation.tokens)]
                else:
                    assert (generation.tokens, generation.text) == (tokens, text)
                    assert generation.finish_reason == reason
        assert not ended


def test_greedy_equals_transformers(model_and_oracle):
    model, oracle = model_and_oracle
    rng = np.random.default_rng(3)
    prompts = [rng.integers(8, 96, n).tolist() for n in rng.integers(1, 200, 20)]
    results = engine_of(model).generate(
        [Request(prompt, SamplingParams(max_new_tokens=40)) for prompt in prompts]
    )
    for prompt, (generation,) in zip(prompts, results, strict=True):
        assert list(generation.tokens) == generate_greedily(oracle, prompt, 40, eos_token_id=7)


@pytest.mark.parametrize("speculation", ["off", "always"])
def test_a_repetition_penalty_equals_that_of_transformers(model_and_oracle, speculation):
    model, oracle = model_and_oracle
    engine = engine_of(model, speculation=speculation, num_drafts=3)
    rng = np.random.default_rng(5)
    prompts = [rng.integers(8, 96, n).tolist() for n in (1, 30, 90)]
    cases = [(prompt, penalty) for prompt in prompts for penalty in (1.0, 1.1, 1.5)]
    results = engine.generate(
        Request(prompt, SamplingParams(max_new_tokens=40, repetition_penalty=penalty))
        for prompt, penalty in cases
    )
    for (prompt, penalty), (generation,) in zip(cases, results, strict=True):
        options = {"repetition_penalty": penalty, "eos_token_id": 7}
        assert list(generation.tokens) == generate_greedily(oracle, prompt, 40, **options)


def test_prompts_have_the_log_probabilities_of_transformers(model_and_oracle):
    model, oracle = model_and_oracle
    rng = np.random.default_rng(7)
    for length in (1, 2, 33, 150, 200):
        prompt = rng.integers(8, 96, length).tolist()
        params = SamplingParams(max_new_tokens=1, logprobs=3, prompt_logprobs=True)
        ((generation, same),) = engine_of(model).generate([Request(prompt, params, n=2)])
        assert generation.prompt_logprobs == same.prompt_logprobs
        with torch.no_grad():
            logprobs = oracle(torch.tensor([prompt])).logits[0].log_softmax(-1).numpy()
        assert len(generation.prompt_logprobs) == length - 1
        for i, entry in enumerate(generation.prompt_logprobs):
            assert entry.chosen == pytest.approx(logprobs[i][prompt[i + 1]], abs=1e-3)
            best = np.argsort(-logprobs[i])[:3]
            assert [token for token, _ in entry.top] == best.tolist()
            assert [value for _, value in entry.top] == pytest.approx(logprobs[i][best], abs=1e-3)


def test_samples_of_a_prompt_share_one_reading(model):
    engine = engine_of(model)
    prompt = np.random.default_rng(4).integers(8, 96, 100).tolist()
    params = SamplingParams(max_new_tokens=30, temperature=1.0, seed=9)
    (samples,) = engine.generate([Request(prompt, params, n=10)])
    assert engine.stats.prompt_tokens == 99
    assert len(set(samples)) == 10
    # 6 whole pages of the prompt are held once; the rest of 4 rows takes 3 pages each at most.
    assert engine.pages.most_used <= 6 + 1 + 4 * 3
    assert engine.pages.num_used == 0


def test_logprobs_are_those_of_transformers(model_and_oracle):
    model, oracle = model_and_oracle
    engine = engine_of(model)
    prompt = [9, 10, 11]
    params = SamplingParams(max_new_tokens=20, temperature=0.8, top_k=20, logprobs=5)
    plain = Request([20, 21], SamplingParams(max_new_tokens=50))
    results = engine.generate([Request(prompt, params, n=2), plain])
    assert results[1][0].logprobs is None
    for generation in results[0]:
        tokens = [*prompt, *generation.tokens]
        with torch.no_grad():
            logprobs = oracle(torch.tensor([tokens])).logits[0].log_softmax(-1).numpy()
        assert len(generation.logprobs) == len(generation.tokens)
        for i, (token, told) in enumerate(zip(generation.tokens, generation.logprobs, strict=True)):
            expected = logprobs[len(prompt) + i - 1]
            assert told.chosen == pytest.approx(expected[token], abs=1e-3)
            best = np.argsort(-expected)[:5]
            assert [token for token, _ in told.top] == best.tolist()
            assert [value for _, value in told.top] == pytest.approx(expected[best], abs=1e-3)


def test_slots_are_refilled(model):
    """Outputs of very unequal length: static batches of 4 would leave half of the work idle."""
    rng = np.random.default_rng(6)
    lengths = [int(n) for n in rng.choice([4, 8, 150], 40, p=[0.4, 0.4, 0.2])]
    tokenizer = Letters(96)  # no EOS: every row is as long as it may be
    engine = engine_of(dataclasses.replace(model, tokenizer=tokenizer))
    requests = [Request([3, i], SamplingParams(max_new_tokens=n)) for i, n in enumerate(lengths)]
    results = engine.generate(requests)
    assert [len(rows[0].tokens) for rows in results] == lengths
    static = sum(max(lengths[i : i + SLOTS]) for i in range(0, 40, SLOTS))
    assert engine.stats.row_steps == sum(lengths)
    assert engine.stats.steps < 0.7 * static
    assert engine.stats.occupancy > 0.75


def test_a_bounded_number_of_programs_all_compiled_by_the_warm_up(model):
    engine = engine_of(model, speculation="auto", num_drafts=3)
    engine.warm_up()
    compiled = []

    def note(event, seconds, **_):
        if event == COMPILED:
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        rng = np.random.default_rng(8)
        engine.generate(workload(rng, 30))
        engine.generate([Request(list(range(60)) * 3, SamplingParams(max_new_tokens=90))])
        assert compiled == []
        jax.jit(lambda x: x * 3 + rng.random())(1.0)  # would be heard of
        assert compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(note)


def test_pieces_of_a_prompt_begin_at_pages_and_cover_it():
    for length in range(1, 2000):
        pieces = decoding.pieces_of(length)
        assert set(pieces) <= set(decoding.PIECES)
        assert sum(pieces[:-1]) < length <= sum(pieces)
        assert all(start % 64 == 0 for start in itertools.accumulate(pieces[:-1]))
        assert sum(pieces) < 1.4 * length + 64
    assert decoding.pieces_of(0) == []


def test_a_chunk_rearranges_no_cache(model):
    """Scratch memory of a chunk stays well under the cache, which is updated in place."""
    from semcoder_jax.inference.batch import empty_rows
    from semcoder_jax.model.kv_cache import KVCache

    B, context = 4, 256
    cache = KVCache.zeros(model.config, 400, page_size=64)
    history = np.zeros((B, context), np.int32)
    args = (model.graphdef, model.params, cache, history, np.arange(B), empty_rows(B, 4))
    args += (np.zeros((B, 3), np.uint32), 32, 1)
    vocabulary = decoding.Vocabulary(96, ())
    lowered = decoding.decode.lower(*args, vocabulary=vocabulary, num_drafts=0)
    memory = lowered.compile().memory_analysis()
    cache_bytes = sum(array.nbytes for array in jax.tree.leaves(cache))
    assert memory.alias_size_in_bytes >= cache_bytes
    assert memory.temp_size_in_bytes < 0.1 * cache_bytes


def test_updates_of_a_streaming_request_add_up(model):
    engine = engine_of(model)
    rng = np.random.default_rng(10)
    prompts = [rng.integers(8, 96, 10).tolist() for _ in range(5)]
    params = SamplingParams(max_new_tokens=60, temperature=1.0, logprobs=1)
    (free,) = zip(*engine.generate([Request(p, params) for p in prompts]), strict=True)
    stop = free[0].text[30:32]  # "ab": an "a" alone must wait for what follows it
    params = dataclasses.replace(params, stop=(stop, free[1].text[20]))
    whole = engine.generate([Request(p, params) for p in prompts])
    tickets = [engine.submit(Request(p, params, streaming=True)) for p in prompts]
    updates = {ticket: [] for ticket in tickets}
    while engine.busy:
        for update in engine.step():
            updates[update.ticket].append(update)
    for ticket, (generation,) in zip(tickets, whole, strict=True):
        told = updates[ticket]
        assert [update.generation for update in told] == [None] * (len(told) - 1) + [generation]
        assert "".join(update.text for update in told) == generation.text
        assert len(told) > 2 or len(generation.tokens) < 10
        assert sum(len(update.tokens) for update in told) == len(generation.tokens)
        assert sum((update.logprobs for update in told), ()) == generation.logprobs


def test_cancellation(model):
    params = SamplingParams(max_new_tokens=200)
    endless = dataclasses.replace(model, tokenizer=Letters(96))
    engine = engine_of(endless)
    kept = Request([9], SamplingParams(max_new_tokens=120))
    (expected,) = engine.generate([kept])
    tickets = [engine.submit(Request([i], params, n=2)) for i in range(1, 5)]  # 8 for 4 slots
    ticket = engine.submit(kept)
    updates = engine.step()
    for cancelled in tickets:
        threading.Thread(target=engine.cancel, args=(cancelled,)).start()
    engine.cancel(10**9)  # nobody's
    while engine.busy:
        updates += engine.step()
    ended = {(u.ticket, u.sample): u.generation for u in updates if u.generation is not None}
    assert ended.pop((ticket, 0)) == expected[0]
    assert set(ended) == {(t, i) for t in tickets for i in range(2)}
    assert {generation.finish_reason for generation in ended.values()} == {"cancelled"}
    assert {len(generation.tokens) for generation in ended.values()} == {0, 32}
    assert engine.pages.num_used == 0 and engine.stats.cancelled == 8


def test_what_has_ended_is_there_before_an_interruption(model):
    engine = engine_of(dataclasses.replace(model, tokenizer=Letters(96)))
    requests = [
        Request([i], SamplingParams(max_new_tokens=10 * i), id=f"r{i}") for i in range(1, 9)
    ]
    seen = []
    for update in engine.stream(requests):
        seen.append(update.id)
        if len(seen) == 3:
            break
    assert seen == ["r5", "r6", "r7"]  # four slots take the four longest first
    assert not engine.busy and engine.pages.num_used == 0
    (rows,) = engine.generate([requests[4]])  # and it can be used again
    assert len(rows[0].tokens) == 50


def test_what_cannot_be_served_is_told_before_any_work(model):
    engine = engine_of(model, cache_tokens=100)
    good = Request([1], SamplingParams(max_new_tokens=2))
    for prompt, message in [
        ("", "prompt 1 is empty"),
        ([], "prompt 1 is empty"),
        ([1] * 256, "prompt 1 has 256 tokens, the model's context holds 256"),
        ([1, 96], "prompt 1: token 96, expected 0 to 95"),
        ([1] * 60, "prompt 1 has 60 tokens and may get 150 more, the cache holds 112"),
    ]:
        bad = Request(prompt, SamplingParams(max_new_tokens=150))
        with pytest.raises(SamplingError, match=message):
            list(engine.stream([good, bad]))
        assert not engine.busy
    with pytest.raises(SamplingError, match="n=0"):
        Request([1], n=0)
    for kwargs, message in [
        ({"num_slots": 0}, "num_slots=0"),
        ({"cache_tokens": 0}, "cache_tokens=0"),
        ({"page_size": 7}, "page_size=7"),
        ({"speculation": "yes"}, "speculation='yes'"),
        ({"num_drafts": 40}, "num_drafts=40"),
    ]:
        with pytest.raises(SamplingError, match=message):
            engine_of(model, **kwargs)
    with pytest.raises(SamplingError, match="no tokenizer"):
        engine_of(dataclasses.replace(model, tokenizer=None))
    assert engine.generate([]) == []


def test_pages_have_owners():
    pool = PagePool(6)
    first = pool.take(3)
    assert pool.take(3) is None and pool.num_free == 2
    pool.share(first[:2])
    pool.release(first)
    assert pool.num_free == 3  # two are still somebody's
    assert not set(pool.take(3)) & set(first[:2])
    pool.release(first[:2])
    assert pool.num_used == pool.most_used - 2 == 3
    with pytest.raises(ValueError, match="is free"):
        pool.release(first[:1])
    assert 0 not in first


def test_a_generation_of_one_token(model):
    engine = engine_of(model)
    (rows,) = engine.generate([Request("\u0105", SamplingParams(max_new_tokens=1))])
    assert isinstance(rows[0], Generation) and len(rows[0].tokens) == 1


@pytest.mark.slow
def test_a_warm_up_takes_what_the_compilation_cache_holds(tmp_path):
    """A second process, in effect: nothing in memory, all programs on disk. The last test of
    the file, since all that follows compiles anew."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    model, _ = build(tmp_path / "model", vocab_size=40)
    counts = collections.Counter()

    def note(event, **_):
        counts[event.rsplit("/", 1)[1]] += "compilation_cache" in event

    try:
        for name, value in zip(names, (str(tmp_path / "cache"), 0.0), strict=True):
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        jax.monitoring.register_event_listener(note)
        for misses_expected in (True, False):
            jax.clear_caches()
            counts.clear()
            engine_of(model, num_slots=2).warm_up()
            assert (counts["cache_misses"] > 0) is misses_expected
        assert counts["cache_hits"] >= 5
    finally:
        jax.monitoring.unregister_event_listener(note)
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
