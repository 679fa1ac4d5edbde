"""Samples a list of prompts with one set of parameters.

Creates an engine (engine.py) of the right size for the list.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from semcoder_jax.inference.batch import default_cache_tokens
from semcoder_jax.inference.capacity import default_slots
from semcoder_jax.inference.detokenize import RowText, encode_prompt
from semcoder_jax.inference.engine import Engine
from semcoder_jax.inference.params import Generation, SamplingError, SamplingParams, TokenLogprobs
from semcoder_jax.inference.request import Request, Update
from semcoder_jax.model.kv_cache import PAGE_SIZE

__all__ = [
    "Generation",
    "RowText",
    "SamplingError",
    "SamplingParams",
    "TokenLogprobs",
    "encode_prompt",
    "generate",
    "stream",
    "stream_requests",
]


def generate(
    model,
    prompts: Sequence[str | Sequence[int]],
    params: SamplingParams,
    *,
    batch_size: int = 64,
    row_seeds: Sequence[int] | None = None,
    speculation: str = "auto",
    progress: str | None = "sampling",
) -> list[Generation]:
    """Returns the generations of `prompts`, in order; see `stream` for the arguments."""
    done = dict(
        stream(
            model,
            prompts,
            params,
            batch_size=batch_size,
            row_seeds=row_seeds,
            speculation=speculation,
            progress=progress,
        )
    )
    return [done[i] for i in range(len(prompts))]


def stream(
    model,
    prompts: Sequence[str | Sequence[int]],
    params: SamplingParams,
    *,
    batch_size: int = 64,
    row_seeds: Sequence[int] | None = None,
    speculation: str = "auto",
    progress: str | None = "sampling",
) -> Iterator[tuple[int, Generation]]:
    """Yields (index of the prompt, its generation) as they end.

    Args:
      model: has `config`, `graphdef`, `params` and `tokenizer` (loading.load_model).
      prompts: texts (BOS is prepended), or token ids (used unchanged).
      params: sampling parameters of all prompts.
      batch_size: maximum number of rows decoded together, rounded up to 1, 2, 4, 8, 16, 24, …
      row_seeds: index of each prompt's random stream; default: the prompt's index. The same
        stream gives the same tokens in any batch.
      speculation: see Engine.
      progress: label of the progress bar, None for no bar.

    Raises SamplingError, before any work, for an empty prompt or one that fills the context, and
    for what is no list of prompts.
    """
    _check_prompts(prompts)
    row_seeds = range(len(prompts)) if row_seeds is None else row_seeds
    if len(prompts) != len(row_seeds):
        raise SamplingError(f"{len(row_seeds)} row seeds for {len(prompts)} prompts")
    requests = [
        Request(prompt, params, first_sample=int(seed))
        for prompt, seed in zip(prompts, row_seeds, strict=True)
    ]
    for update in stream_requests(
        model, requests, batch_size=batch_size, speculation=speculation, progress=progress
    ):
        yield update.id, update.generation


def _check_prompts(prompts: Sequence[str | Sequence[int]]) -> None:
    if isinstance(prompts, str | bytes):
        raise SamplingError("prompts: expected a list of prompts; got one text: put it into a list")
    for number, prompt in enumerate(prompts):
        if isinstance(prompt, str):
            if any("\ud800" <= character <= "\udfff" for character in prompt):
                raise SamplingError(
                    f"prompt {number}: expected text; it holds half a surrogate pair"
                )
        elif not isinstance(prompt, Sequence | np.ndarray):
            kind = type(prompt).__name__
            raise SamplingError(f"prompt {number}: expected text or token ids; got {kind}")


def stream_requests(
    model,
    requests: Sequence[Request],
    *,
    batch_size: int | None = None,
    speculation: str = "auto",
    progress: str | None = "sampling",
) -> Iterator[Update]:
    """Yields the last update of every sample, as they end, from an engine for these requests.

    `batch_size` is the maximum number of rows decoded together, rounded up to 1, 2, 4, 8, 16, 24, …
    (None: the device's default).
    Raises SamplingError, before any work, if a request cannot be served.
    """
    if not requests:
        return
    if batch_size is None:
        batch_size = default_slots()
    # Keep an empty text: the engine reports it.
    requests = [
        dataclasses.replace(request, prompt=encode_prompt(model.tokenizer, request.prompt))
        if request.prompt and isinstance(request.prompt, str)
        else request
        for request in requests
    ]
    num_slots = _slots_bucket(min(batch_size, sum(request.n for request in requests)))
    engine = Engine(
        model,
        num_slots=num_slots,
        cache_tokens=_cache_tokens(model, requests, num_slots),
        speculation=speculation,
    )
    yield from engine.stream(requests, progress=progress)


def _cache_tokens(model, requests: Sequence[Request], num_slots: int) -> int:
    """Returns cache positions for these rows at full length, rounded up, within memory."""
    context = model.config.max_positions
    rooms = []
    for request in requests:
        longest = min(len(request.prompt) + request.params.max_new_tokens, context)
        room = -(-longest // PAGE_SIZE) * PAGE_SIZE
        rooms += [room] * min(request.n, num_slots)
    wanted = sum(sorted(rooms)[-num_slots:])
    return min(_bucket(wanted), default_cache_tokens(model, num_slots))


def _bucket(size: int) -> int:
    """Rounds up to 64, 96, 128, 192, 256, 384, …"""
    bucket = PAGE_SIZE
    while bucket < size:
        if bucket * 3 // 2 >= size:
            return bucket * 3 // 2
        bucket *= 2
    return bucket


def _slots_bucket(size: int) -> int:
    """Rounds up to a power of two up to 8, then to a multiple of 8."""
    return -(-size // 8) * 8 if size > 8 else 1 << (size - 1).bit_length()
