"""Sampling parameters and generations."""

import dataclasses

from semcoder_jax.errors import UserError

# Most alternatives that a token's log-probability may come with (the limit of OpenAI's chat API).
MAX_TOP_LOGPROBS = 20


class SamplingError(UserError):
    """Raised for parameters or prompts that cannot be sampled from."""


@dataclasses.dataclass(frozen=True)
class SamplingParams:
    """Sampling parameters.

    Attributes:
      max_new_tokens: maximum number of generated tokens, an end token included.
      temperature: 0 is greedy; otherwise logits are divided by it.
      top_p: samples from the smallest set of most probable tokens with this mass, after
        temperature and top_k.
      stop: strings that end a row; the text is cut before the first of them. The spelling of a
        special token stands for that token, too.
      seed: random seed; each row has its own stream.
      top_k: samples from the k most probable tokens and ties with the last; 0: all.
      logprobs: number of most probable alternatives (0 to 20) whose log-probabilities each
        token reports, before temperature, top_k and top_p; None: no log-probabilities.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    top_k: int = 0
    logprobs: int | None = None

    def __post_init__(self):
        if self.max_new_tokens < 1:
            raise SamplingError(f"max_new_tokens={self.max_new_tokens}, expected at least 1")
        if not 0 <= self.temperature < float("inf"):
            raise SamplingError(f"temperature={self.temperature}, expected 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise SamplingError(f"top_p={self.top_p}, expected 0 < top_p <= 1")
        if not -(2**31) <= self.seed < 2**32:
            raise SamplingError(f"seed={self.seed}, expected a 32-bit integer")
        if isinstance(self.stop, str) or not all(self.stop):
            raise SamplingError(f"stop={self.stop!r}, expected a tuple of non-empty strings")
        if not 0 <= self.top_k < 2**31:
            raise SamplingError(f"top_k={self.top_k}, expected 0 (all tokens) or more")
        if self.logprobs is not None and not 0 <= self.logprobs <= MAX_TOP_LOGPROBS:
            raise SamplingError(f"logprobs={self.logprobs}, expected 0 to {MAX_TOP_LOGPROBS}")


@dataclasses.dataclass(frozen=True)
class TokenLogprobs:
    """Natural log-probabilities at one position of a generation.

    Attributes:
      chosen: log-probability of the generated token.
      top: (token, its log-probability) of the most probable ones, best first.
    """

    chosen: float
    top: tuple[tuple[int, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class Generation:
    """Generated continuation of a prompt.

    Attributes:
      text: decoded tokens without special tokens, cut before the first stop string.
      tokens: generated ids, up to and including the end token or the token that completed the
        stop string.
      finish_reason: "stop" (an end token or a stop string), "length" (max_new_tokens or the
        context) or "cancelled".
      logprobs: one entry per token of `text_tokens`, or None if not requested.
      end_token: the id that ended the row, the last of `tokens`; None if none did.
    """

    text: str
    tokens: tuple[int, ...]
    finish_reason: str
    logprobs: tuple[TokenLogprobs, ...] | None = None
    end_token: int | None = None

    @property
    def text_tokens(self) -> tuple[int, ...]:
        """Returns the ids without the end token, which is no part of the text."""
        return self.tokens if self.end_token is None else self.tokens[:-1]
