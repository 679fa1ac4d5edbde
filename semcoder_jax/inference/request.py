"""Requests, updates, and the engine's state of open requests and samples."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from semcoder_jax.inference.detokenize import RowText
from semcoder_jax.inference.grammar import RowMatcher
from semcoder_jax.inference.params import Generation, SamplingError, SamplingParams, TokenLogprobs
from semcoder_jax.inference.speculation import Lookup


@dataclasses.dataclass(frozen=True)
class Request:
    """A prompt and its sampling parameters.

    Attributes:
      prompt: text (BOS is prepended), or token ids (used unchanged).
      params: see SamplingParams.
      n: number of samples; each ends on its own.
      id: the caller's id, returned in results; default: the index in the list.
      first_sample: sample i uses stream `first_sample + i` of the seed, so that one sample can
        be repeated alone, and requests with equal seeds can differ.
      streaming: whether `step` reports new text before the end (smaller chunks).
      adapter: name of the engine's adapter to use; None: the model alone.
    """

    prompt: str | Sequence[int]
    params: SamplingParams = dataclasses.field(default_factory=SamplingParams)
    n: int = 1
    id: str | int | None = None
    first_sample: int = 0
    streaming: bool = False
    adapter: str | None = None

    def __post_init__(self):
        if self.n < 1:
            raise SamplingError(f"n={self.n}, expected at least 1")


@dataclasses.dataclass(frozen=True)
class Update:
    """New text and tokens of one sample.

    Attributes:
      ticket: result of `submit` for the request.
      id: id of the request.
      sample: index, 0 … n - 1.
      text: text added since the last update; never retracted.
      tokens: ids added since the last update (may extend beyond `text`).
      logprobs: entries of `tokens`, if requested.
      generation: complete generation in the last update of a sample; None before.
      prompt_logprobs: entries of the prompt's tokens but the first, if requested.
    """

    ticket: int
    id: str | int | None
    sample: int
    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[TokenLogprobs, ...] | None
    generation: Generation | None
    prompt_logprobs: tuple[TokenLogprobs, ...] | None = None


class OpenRequest:
    """An accepted request: its tokens, and the pages that its samples share.

    Attributes:
      stop_tokens: ids that end a row, beside the end tokens.
      eos_ids: end tokens, which the device looks for.
      grammar: compiled grammar (grammar.check_grammar), or None.
      samples: samples that have not ended.
      num_to_begin: number of samples that never had a slot.
      pages: pages of the prompt, held from prefill until the last sample has begun.
      prompt_logprobs: entries of its tokens but the first, after prefill, if requested.
    """

    def __init__(
        self,
        request: Request,
        tokens: list[int],
        ticket: int,
        tokenizer,
        *,
        stop_tokens: frozenset[int] = frozenset(),
        eos_ids: tuple[int, ...] = (),
        grammar: Any = None,
    ):
        self.request = request
        self.tokens = tokens
        self.stop_tokens = stop_tokens
        self.eos_ids = eos_ids
        self.grammar = grammar
        self.prompt_logprobs: tuple[TokenLogprobs, ...] | None = None
        self.ticket = ticket
        self.samples = [OpenSample(self, i, tokenizer) for i in range(request.n)]
        self.num_to_begin = request.n
        self.pages: list[int] | None = None


class OpenSample:
    """One sample of a request, waiting or in a slot.

    Attributes:
      index: 0 … n - 1; `stream` is the random stream of the seed that it draws from.
      begun: whether it ever had a slot.
      tokens, logprobs: results so far.
      pages: cache pages in order of positions, own or shared.
      row_text: detokenizer of the row.
      matcher: follows the row's grammar; None: any text.
      sent_text, num_sent: text and number of tokens already sent in updates.
      lookup, tokens_per_pass: measured or predicted gain of drafts (None: unknown); see
        speculation.
    """

    def __init__(self, request: OpenRequest, index: int, tokenizer):
        self.request = request
        self.index = index
        self.params = request.request.params
        self.stream = request.request.first_sample + index
        self.begun = False
        self.sent_text = ""
        self.num_sent = 0
        self.tokens_per_pass: float | None = None
        self.reset(tokenizer)

    def reset(self, tokenizer) -> None:
        """Discards all generated tokens."""
        self.tokens: list[int] = []
        self.logprobs: list[TokenLogprobs] = []
        self.pages: list[int] = []
        self.lookup: Lookup | None = None
        self.row_text = RowText(
            tokenizer,
            self.request.tokens,
            self.params.stop,
            self.request.stop_tokens,
            skip_special_tokens=self.params.skip_special_tokens,
            include_stop=self.params.include_stop,
        )
        compiled = self.request.grammar
        self.matcher = compiled and RowMatcher(compiled, self.request.eos_ids)

    def note(self, tokens: list[int], logprobs: list[TokenLogprobs]) -> None:
        """Notes new tokens and their entries, if requested."""
        self.tokens += tokens
        self.logprobs += logprobs
        if self.matcher is not None:
            self.matcher.accept(tokens)

    @property
    def order(self) -> tuple[int, int]:
        """Sort key by age; the oldest sample has the least."""
        return self.request.ticket, self.index

    @property
    def length(self) -> int:
        """Number of tokens, prompt included."""
        return len(self.request.tokens) + len(self.tokens)

    def logprobs_of(self, count: int) -> tuple[TokenLogprobs, ...] | None:
        """Returns the entries of the first `count` tokens, if requested."""
        return None if self.params.logprobs is None else tuple(self.logprobs[:count])

    def update(self, text: str, tokens: Sequence[int], generation: Generation | None) -> Update:
        """Returns the unsent part of `text` and `tokens`, which hold everything so far.

        A restarted sample has nothing to send until it has caught up.
        """
        new_text, new_tokens = text[len(self.sent_text) :], tuple(tokens[self.num_sent :])
        spoken = tokens if generation is None else generation.text_tokens
        logprobs = self.logprobs_of(len(spoken))
        update = Update(
            ticket=self.request.ticket,
            id=self.request.request.id,
            sample=self.index,
            text=new_text,
            tokens=new_tokens,
            logprobs=None if logprobs is None else logprobs[self.num_sent :],
            generation=generation,
            prompt_logprobs=self.request.prompt_logprobs,
        )
        self.sent_text += new_text
        self.num_sent += len(new_tokens)
        return update

    def with_logprobs(self, generation: Generation) -> Generation:
        """Adds the requested log-probabilities to a generation of this sample."""
        num_tokens, logprobs = len(generation.text_tokens), self.logprobs
        ended = self.params.logprobs is not None and generation.end_token is not None
        return dataclasses.replace(
            generation,
            logprobs=self.logprobs_of(num_tokens),
            end_logprobs=logprobs[num_tokens] if ended else None,
            prompt_logprobs=self.request.prompt_logprobs,
        )


def logprobs_of_arrays(
    logprob_T: np.ndarray, top_TxA: np.ndarray, top_logprob_TxA: np.ndarray, num_top: int
) -> list[TokenLogprobs]:
    """Returns one entry per position, with `num_top` alternatives."""
    top = top_TxA[:, :num_top].tolist()
    top_logprob = top_logprob_TxA[:, :num_top].tolist()
    return [
        TokenLogprobs(chosen, tuple(zip(top[i], top_logprob[i], strict=True)))
        for i, chosen in enumerate(logprob_T.tolist())
    ]
