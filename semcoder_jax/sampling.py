"""Sampling a list of prompts with one set of parameters: prompts in, generations out.

The work is the engine's (engine.py); here it is sized for the list.
"""

from collections.abc import Iterator, Sequence

from semcoder_jax.engine import Engine
from semcoder_jax.kv_cache import PAGE_SIZE
from semcoder_jax.request import Request
from semcoder_jax.row_text import RowText, encode_prompt
from semcoder_jax.sampling_params import (
    Generation,
    SamplingError,
    SamplingParams,
    TokenLogprobs,
)
from semcoder_jax.slots import default_cache_tokens

__all__ = [
    "Generation",
    "RowText",
    "SamplingError",
    "SamplingParams",
    "TokenLogprobs",
    "encode_prompt",
    "generate",
    "stream",
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
    """Generations of ``prompts``, in their order; see ``stream`` for the arguments."""
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
    """Yield (index of the prompt, its generation) as they end.

    Args:
      model: has ``config``, ``graphdef``, ``params`` and ``tokenizer`` (checkpoints.load_model).
      prompts: texts, to which BOS is added by id, or token ids, taken as they are.
      params: how to sample, the same for all.
      batch_size: most rows decoded together.
      row_seeds: what distinguishes the random stream of each prompt; its index by default. A
        row that is sampled again with the same one gives the same tokens in any company.
      speculation: see Engine.
      progress: label of the progress bar, None for no bar.

    Raises SamplingError, before any work, for an empty prompt or one that fills the context.
    """
    row_seeds = range(len(prompts)) if row_seeds is None else row_seeds
    if len(prompts) != len(row_seeds):
        raise SamplingError(f"{len(row_seeds)} row seeds for {len(prompts)} prompts")
    if not prompts:
        return
    # An empty text stays one: the engine names it.
    prompts = [
        encode_prompt(model.tokenizer, prompt) if prompt and isinstance(prompt, str) else prompt
        for prompt in prompts
    ]
    num_slots = _slots_bucket(min(batch_size, len(prompts)))
    longest = sorted(len(prompt) for prompt in prompts)[-num_slots:]
    engine = Engine(
        model,
        num_slots=num_slots,
        cache_tokens=_cache_tokens(model, longest, params.max_new_tokens, num_slots),
        speculation=speculation,
    )
    requests = [
        Request(prompt, params, first_sample=int(seed))
        for prompt, seed in zip(prompts, row_seeds, strict=True)
    ]
    for update in engine.stream(requests, progress=progress):
        yield update.id, update.generation


def _cache_tokens(model, prompt_lengths: Sequence[int], max_new_tokens: int, num_slots: int) -> int:
    """Room for these rows at their longest: one of a few sizes, within what memory allows."""
    context = model.config.max_positions
    wanted = 0
    for length in prompt_lengths:
        longest = min(length + max_new_tokens, context)
        wanted += -(-longest // PAGE_SIZE) * PAGE_SIZE
    return min(_bucket(wanted), default_cache_tokens(model, num_slots))


def _bucket(size: int) -> int:
    """The next of 64, 96, 128, 192, 256, 384, …"""
    bucket = PAGE_SIZE
    while bucket < size:
        if bucket * 3 // 2 >= size:
            return bucket * 3 // 2
        bucket *= 2
    return bucket


def _slots_bucket(size: int) -> int:
    """Powers of two up to 8, then multiples of 8."""
    return -(-size // 8) * 8 if size > 8 else 1 << (size - 1).bit_length()
