"""Prompt-lookup speculation: the next tokens are guessed from earlier text, then checked at once.

Monologues repeat code and values. The draft after a context is what followed the latest earlier
place that agrees with its longest suffix of up to ``NGRAM`` tokens (Saxena, prompt lookup
decoding, 2023); one pass of the model over the draft tells how much of it the model itself would
have said. Each position's own random number decides its token, drafted or not, so the output is
the one without speculation, token for token; a draft is taken with the probability that
rejection sampling (Leviathan et al., 2023) has for a draft without a distribution.

``draft`` is the device's part. ``Lookup`` follows one row on the host and counts what drafts
would have gained while none are checked; ``SpeculationPolicy`` weighs that against what checking
costs. Which of the two ways computes a chunk changes its speed, not its tokens.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp

NGRAM = 3


def draft(history_BxM: jax.Array, length_B: jax.Array, num_tokens: int) -> jax.Array:
    """Guesses of the next tokens of each row, int32 [B, num_tokens]; -1 where there is no clue.

    ``history_BxM`` holds a row's tokens up to ``length_B``. A draft that reaches the end of the
    history goes on with itself, as a repetition would.
    """
    M = history_BxM.shape[1]
    place_M = jnp.arange(M)
    last_Bx1 = length_B[:, None] - 1
    agreeing_BxM = jnp.ones(history_BxM.shape, bool)
    suffix_BxM = jnp.zeros(history_BxM.shape, jnp.int32)
    for n in range(NGRAM):
        token_Bx1 = jnp.take_along_axis(history_BxM, jnp.maximum(last_Bx1 - n, 0), axis=1)
        earlier_BxM = jnp.roll(history_BxM, n, axis=1)
        agreeing_BxM &= (earlier_BxM == token_Bx1) & (place_M >= n) & (last_Bx1 >= n)
        suffix_BxM += agreeing_BxM
    # The longest agreement, of equal ones the latest; it ends before the last token.
    score_BxM = jnp.where(place_M < last_Bx1, suffix_BxM * M + place_M, 0)
    best_Bx1 = jnp.argmax(score_BxM, axis=1)[:, None]
    found_Bx1 = jnp.take_along_axis(score_BxM, best_Bx1, axis=1) >= M
    period_Bx1 = jnp.maximum(last_Bx1 - best_Bx1, 1)
    place_BxK = best_Bx1 + 1 + jnp.arange(num_tokens) % period_Bx1
    drafts_BxK = jnp.take_along_axis(history_BxM, place_BxK, axis=1)
    return jnp.where(found_Bx1, drafts_BxK, -1)


class Lookup:
    """The drafts of one row, on the host, in time that does not grow with its length.

    Args:
      tokens: the context to begin with.
      num_drafts: tokens of a draft.
    """

    def __init__(self, tokens: Sequence[int], num_drafts: int):
        self._num_drafts = num_drafts
        self._tokens: list[int] = []
        # Where each n-gram was last seen to end, not counting the end of the context itself.
        self._ends: dict[tuple[int, ...], int] = {}
        for token in tokens:
            self._append(token)

    def draft(self) -> list[int]:
        """What ``draft`` of the device gives for the row, [] in place of -1."""
        last = len(self._tokens) - 1
        for n in range(min(NGRAM, len(self._tokens)), 0, -1):
            end = self._ends.get(tuple(self._tokens[last + 1 - n :]))
            if end is not None:
                period = last - end
                return [self._tokens[end + 1 + j % period] for j in range(self._num_drafts)]
        return []

    def passes_for(self, tokens: Sequence[int]) -> int:
        """Passes of the model that ``tokens``, which came next, would have taken with drafts."""
        passes = at = 0
        while at < len(tokens):
            passes += 1
            for guess in [*self.draft(), None]:
                hit = at < len(tokens) and guess == tokens[at]
                if at < len(tokens):
                    self._append(tokens[at])
                    at += 1
                if not hit:
                    break
        return passes

    def extend(self, tokens: Sequence[int]) -> None:
        for token in tokens:
            self._append(token)

    def _append(self, token: int) -> None:
        last = len(self._tokens) - 1
        for n in range(1, min(NGRAM, len(self._tokens)) + 1):
            self._ends[tuple(self._tokens[last + 1 - n :])] = last
        self._tokens.append(token)


@dataclasses.dataclass
class SpeculationPolicy:
    """Whether checking drafts pays, from what both ways of decoding were seen to take.

    ``seconds`` of a pass are running averages, None until one was timed; a pass with drafts is
    taken to cost ``ASSUMED_COST`` plain ones until then.
    """

    ASSUMED_COST = 1.5
    MARGIN = 1.05  # gain below which a guess about costs is not worth acting on
    MEMORY = 0.8  # weight of the past in running averages

    plain_seconds: float | None = None
    drafted_seconds: float | None = None

    def timed(self, drafted: bool, seconds_per_pass: float) -> None:
        name = "drafted_seconds" if drafted else "plain_seconds"
        before = getattr(self, name)
        now = seconds_per_pass
        if before is not None:
            # One slow chunk (a busy machine) must not decide for long.
            now = self.MEMORY * before + (1 - self.MEMORY) * min(now, 2 * before)
        setattr(self, name, now)

    @property
    def cost(self) -> float:
        """Of a pass with drafts, in plain passes."""
        if self.plain_seconds is None or self.drafted_seconds is None:
            return self.ASSUMED_COST
        return max(self.drafted_seconds / self.plain_seconds, 1.0)

    def pays(self, tokens_per_pass: Sequence[float]) -> bool:
        """Whether rows that would gain so many tokens a pass are better off with drafts."""
        if not tokens_per_pass:
            return False
        return sum(tokens_per_pass) / len(tokens_per_pass) > self.MARGIN * self.cost
