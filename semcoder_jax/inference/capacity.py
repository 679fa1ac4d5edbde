"""Chooses how many rows an engine decodes together, and how many tokens it drafts for each."""

import jax

from semcoder_jax.inference.params import SamplingError

SPECULATION = ("auto", "always", "off")
# Rows of a matrix product up to which further rows are (nearly) free. Beyond that, arithmetic is
# the bottleneck, and checking drafts costs what it gains.
FREE_ROWS = {"cpu": 32, "tpu": 256, "gpu": 256}
# On CPU, a row's fifth and later tokens cost time; they would add 4 % to the gain of three drafts
# on the narrator's monologues.
USUAL_DRAFTS = {"cpu": 3}
DEFAULT_SLOTS = {"cpu": 16, "tpu": 64, "gpu": 64}
MOST_DRAFTS = 7


def default_slots(backend: str | None = None) -> int:
    """Returns the default number of rows decoded together (None: on this device)."""
    return DEFAULT_SLOTS.get(backend or jax.default_backend(), 64)


def check_capacity(num_slots: int, cache_tokens: int | None, page_size: int) -> None:
    """Raises SamplingError for an argument of Engine that is out of range."""
    if num_slots < 1:
        raise SamplingError(f"num_slots={num_slots}, expected at least 1")
    if cache_tokens is not None and cache_tokens < 1:
        raise SamplingError(f"cache_tokens={cache_tokens}, expected at least 1")
    if page_size not in (16, 32, 64):
        raise SamplingError(f"page_size={page_size}, expected 16, 32 or 64")


def choose_drafts(speculation: str, num_drafts: int | None, num_slots: int) -> int:
    """Returns the number of tokens of a draft, 0 without speculation. Raises SamplingError."""
    if speculation not in SPECULATION:
        raise SamplingError(f"speculation={speculation!r}, expected one of {SPECULATION}")
    if num_drafts is None:
        backend = jax.default_backend()
        usual = USUAL_DRAFTS.get(backend, MOST_DRAFTS)
        num_drafts = min(FREE_ROWS.get(backend, 256) // num_slots - 1, usual)
        num_drafts = max(num_drafts, 1 if speculation == "always" else 0)
    elif not 0 <= num_drafts <= MOST_DRAFTS:
        raise SamplingError(f"num_drafts={num_drafts}, expected 0 to {MOST_DRAFTS}")
    return 0 if speculation == "off" else num_drafts
