"""Prompt-lookup speculation: drafts tokens from earlier text, then checks them in one pass.

Monologues repeat code and values. The context's longest suffix of up to `NGRAM` tokens that also
occurs earlier is looked up; the draft is the continuation of its latest earlier occurrence
(Saxena, prompt lookup decoding, 2023). One pass of the model over the draft shows how much of it
the model itself would generate. Each position's own random number decides its token, drafted or
not, so the output equals that without speculation, token for token. A draft is accepted with the
same probability as in rejection sampling (Leviathan et al., 2023) with deterministic drafts.

`draft` runs on the device. `Lookup` follows one row on the host and measures the gain that drafts
would have while none are checked; `SpeculationPolicy` compares it with the cost of checking. The
choice changes the speed of a chunk, not its tokens.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp

NGRAM = 3


def draft(history_BxM: jax.Array, length_B: jax.Array, num_tokens: int) -> jax.Array:
    """Drafts the next tokens of each row, int32 [B, num_tokens]; -1 if nothing matches.

    `history_BxM` holds a row's tokens up to `length_B`. A draft that reaches the end of the
    history continues with its own first tokens, as a repetition would.
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
    # Take the longest match, the latest of equal ones; it must end before the last token.
    score_BxM = jnp.where(place_M < last_Bx1, suffix_BxM * M + place_M, 0)
    best_Bx1 = jnp.argmax(score_BxM, axis=1)[:, None]
    found_Bx1 = jnp.take_along_axis(score_BxM, best_Bx1, axis=1) >= M
    period_Bx1 = jnp.maximum(last_Bx1 - best_Bx1, 1)
    place_BxK = best_Bx1 + 1 + jnp.arange(num_tokens) % period_Bx1
    drafts_BxK = jnp.take_along_axis(history_BxM, place_BxK, axis=1)
    return jnp.where(found_Bx1, drafts_BxK, -1)


class Lookup:
    """Drafts tokens of one row on the host, in time independent of its length.

    Args:
      tokens: the context to begin with.
      num_drafts: tokens of a draft.
    """

    def __init__(self, tokens: Sequence[int], num_drafts: int):
        self._num_drafts = num_drafts
        self._tokens: list[int] = []
        # Latest end of each n-gram, not counting the end of the context itself.
        self._ends: dict[tuple[int, ...], int] = {}
        for token in tokens:
            self._append(token)

    def draft(self) -> list[int]:
        """Returns the tokens that the device's `draft` gives, with [] in place of -1."""
        last = len(self._tokens) - 1
        for n in range(min(NGRAM, len(self._tokens)), 0, -1):
            end = self._ends.get(tuple(self._tokens[last + 1 - n :]))
            if end is not None:
                period = last - end
                return [self._tokens[end + 1 + j % period] for j in range(self._num_drafts)]
        return []

    def passes_for(self, tokens: Sequence[int]) -> int:
        """Appends `tokens`; returns the passes that they would have taken with drafts."""
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
    """Decides whether to check drafts, from the measured time and gain of both ways of decoding.

    Rows are decoded plainly until their own text shows that drafts would have gained more than
    they cost. An account records the gains and losses of drafts, in plain passes: each plain pass
    adds `ALLOWED_LOSS`, and nothing is drafted while the account is empty. So, for any text,
    drafts lose at most that share of the time, plus `MOST` passes once.

    Attributes:
      cost: of a pass with drafts, in plain passes; `ASSUMED_COST` until both were timed.
      account: plain passes that drafts may still lose.
    """

    ASSUMED_COST = 1.5
    MARGIN = 1.05  # required ratio of gain to cost, since both are estimates
    MEMORY = 0.8  # weight of the past in running averages
    ALLOWED_LOSS = 0.03
    FIRST = 4.0  # initial account
    MOST = 16.0  # upper bound of the account: old gains do not pay for new losses

    cost: float = ASSUMED_COST
    account: float = FIRST
    # Of the last timed chunk: (drafted, seconds per pass, number of rows).
    _last: tuple[bool, float, int] | None = None

    def record_trial(
        self, plain_seconds: Sequence[float], drafted_seconds: Sequence[float]
    ) -> None:
        """Sets the cost from alternating timed passes; uses the minimum, as load only adds time."""
        self.cost = max(min(drafted_seconds) / min(plain_seconds), 1.0)

    def record_time(self, drafted: bool, seconds_per_pass: float, num_rows: int) -> None:
        """Updates the cost from the time of a chunk.

        Compares only neighbouring chunks of as many rows, which have nearly the same load and row
        lengths.
        """
        if self._last is not None and self._last[::2] == (not drafted, num_rows):
            ratio = seconds_per_pass / self._last[1]
            ratio = ratio if drafted else 1 / ratio
            # One slow chunk must not decide for long.
            ratio = min(max(ratio, self.cost / 2), 2 * self.cost)
            self.cost = max(self.MEMORY * self.cost + (1 - self.MEMORY) * ratio, 1.0)
        self._last = drafted, seconds_per_pass, num_rows

    def record_gain(self, drafted: bool, passes: int, tokens_per_pass: float) -> None:
        """Updates the account from the passes and tokens per row and pass of a chunk."""
        change = passes * (tokens_per_pass - self.cost if drafted else self.ALLOWED_LOSS)
        self.account = min(self.account + change, self.MOST)

    def pays(self, tokens_per_pass: Sequence[float]) -> bool:
        """Whether drafts pay for rows with these numbers of tokens per pass."""
        if not tokens_per_pass or self.account <= 0:
            return False
        return sum(tokens_per_pass) / len(tokens_per_pass) > self.MARGIN * self.cost
