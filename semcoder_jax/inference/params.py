"""Sampling parameters and generations."""

import dataclasses

from semcoder_jax.errors import UserError

# Most alternatives that a token's log-probability may come with (the limit of OpenAI's chat API).
MAX_TOP_LOGPROBS = 20
LARGEST_PENALTY = 1e3  # of repetitions; no logit overflows


class SamplingError(UserError):
    """Raised for parameters or prompts that cannot be sampled from."""


@dataclasses.dataclass(frozen=True)
class Grammar:
    """Language that a generated text must belong to.

    Attributes:
      kind: "json_schema", "regex" or "choice" (one of several texts).
      text: the JSON schema, the regular expression, or a JSON list of texts.
    """

    kind: str
    text: str


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
        token reports, before penalties, temperature and any choice; None: no log-probabilities.
      min_p: excludes tokens less probable than this share of the most probable one, after
        temperature, top_k and top_p; 0: none.
      repetition_penalty: divides the positive logits of tokens that the prompt or the row already
        has, and multiplies the negative ones; 1: none. Temperature comes after it.
      stop_token_ids: ids that end a row, beside the model's end tokens.
      ignore_eos: end tokens do not end the row.
      skip_special_tokens: whether the text leaves out special tokens.
      include_stop: whether the text has the stop string or the token that ended the row.
      grammar: the text's language; None: any text.
      prompt_logprobs: whether the prompt's tokens report log-probabilities, too.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    top_k: int = 0
    logprobs: int | None = None
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    skip_special_tokens: bool = True
    include_stop: bool = False
    grammar: Grammar | None = None
    prompt_logprobs: bool = False

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
        if not 0 <= self.min_p <= 1:
            raise SamplingError(f"min_p={self.min_p}, expected 0 <= min_p <= 1")
        if not 0 < self.repetition_penalty <= LARGEST_PENALTY:
            raise SamplingError(
                f"repetition_penalty={self.repetition_penalty}, expected more than 0 (1: none) to "
                f"{LARGEST_PENALTY:g}"
            )
        if self.prompt_logprobs and self.logprobs is None:
            raise SamplingError("prompt_logprobs=True, expected logprobs beside it")
        if self.grammar is not None and self.ignore_eos:
            raise SamplingError("ignore_eos=True, expected False beside a grammar: its text ends")


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
      text: decoded tokens, cut before the first stop string.
      tokens: generated ids, up to and including the end token or the token that completed the
        stop string.
      finish_reason: "stop" (an end token or a stop string), "length" (max_new_tokens or the
        context) or "cancelled".
      logprobs: one entry per token of `text_tokens`, or None if not requested.
      end_token: the id that ended the row, the last of `tokens`; None if none did.
      end_logprobs: entry of `end_token`, if requested.
      prompt_logprobs: one entry per token of the prompt but the first, if requested.
    """

    text: str
    tokens: tuple[int, ...]
    finish_reason: str
    logprobs: tuple[TokenLogprobs, ...] | None = None
    end_token: int | None = None
    end_logprobs: TokenLogprobs | None = None
    prompt_logprobs: tuple[TokenLogprobs, ...] | None = None

    @property
    def text_tokens(self) -> tuple[int, ...]:
        """Returns the ids without the end token, which is no part of the text."""
        return self.tokens if self.end_token is None else self.tokens[:-1]
