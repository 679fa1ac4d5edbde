"""What is asked of the engine, what it tells, and how it keeps a request in hand."""

import dataclasses
from collections.abc import Sequence

from semcoder_jax.inference.detokenize import RowText
from semcoder_jax.inference.params import Generation, SamplingError, SamplingParams, TokenLogprobs
from semcoder_jax.inference.speculation import Lookup


@dataclasses.dataclass(frozen=True)
class Request:
    """A prompt and what to do with it.

    Attributes:
      prompt: text, to which BOS is added by id, or token ids, taken as they are.
      params: see SamplingParams.
      n: samples; each ends on its own.
      id: the caller's name of it, in results; its place in the list by default.
      first_sample: sample i draws from stream `first_sample + i` of the seed: a sample can be
        drawn again alone, and requests that share a seed need not repeat each other.
      streaming: whether `step` tells of new text before the end (smaller chunks).
    """

    prompt: str | Sequence[int]
    params: SamplingParams = dataclasses.field(default_factory=SamplingParams)
    n: int = 1
    id: str | int | None = None
    first_sample: int = 0
    streaming: bool = False

    def __post_init__(self):
        if self.n < 1:
            raise SamplingError(f"n={self.n}, expected at least 1")


@dataclasses.dataclass(frozen=True)
class Update:
    """News of one sample.

    Attributes:
      ticket: what `submit` gave for the request.
      id: of the request.
      sample: 0 … n - 1.
      text: what was added since the last update; never taken back.
      tokens: ids that were added (of streaming requests; not only those of `text`).
      logprobs: of `tokens`, where asked for.
      generation: the whole, with the last update of a sample; None before.
    """

    ticket: int
    id: str | int | None
    sample: int
    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[TokenLogprobs, ...] | None
    generation: Generation | None


class OpenRequest:
    """A request in hand: its tokens, and the pages that its samples share.

    Attributes:
      samples: those that have not ended.
      num_to_begin: samples that never had a slot.
      pages: of the prompt, held from its reading until the last sample has begun.
    """

    def __init__(self, request: Request, tokens: list[int], ticket: int, tokenizer):
        self.request = request
        self.tokens = tokens
        self.ticket = ticket
        self.samples = [OpenSample(self, i, tokenizer) for i in range(request.n)]
        self.num_to_begin = request.n
        self.pages: list[int] | None = None


class OpenSample:
    """One sample of a request, waiting or in a slot.

    Attributes:
      index: 0 … n - 1; `stream` is the random stream of the seed that it draws from.
      begun: whether it ever had a slot.
      tokens, logprobs: generated so far.
      pages: of the cache, in order of positions; its own or shared.
      row_text: the text of the tokens.
      sent_text, num_sent: what updates have told of text and tokens.
      lookup, tokens_per_pass: what drafts give, or would (None: nothing seen); see
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
        """Nothing generated yet."""
        self.tokens: list[int] = []
        self.logprobs: list[TokenLogprobs] = []
        self.pages: list[int] = []
        self.lookup: Lookup | None = None
        self.row_text = RowText(tokenizer, self.request.tokens, self.params.stop)

    @property
    def order(self) -> tuple[int, int]:
        """Less is older."""
        return self.request.ticket, self.index

    @property
    def length(self) -> int:
        """Tokens, prompt included."""
        return len(self.request.tokens) + len(self.tokens)

    def logprobs_of(self, count: int) -> tuple[TokenLogprobs, ...] | None:
        """Those of the first tokens, where they were asked for."""
        return None if self.params.logprobs is None else tuple(self.logprobs[:count])

    def update(self, text: str, tokens: Sequence[int], generation: Generation | None) -> Update:
        """What of `text` and `tokens`, all so far, has not been told.

        A sample begun again has less than was told until it has caught up.
        """
        new_text, new_tokens = text[len(self.sent_text) :], tuple(tokens[self.num_sent :])
        logprobs = self.logprobs_of(len(tokens))
        update = Update(
            ticket=self.request.ticket,
            id=self.request.request.id,
            sample=self.index,
            text=new_text,
            tokens=new_tokens,
            logprobs=None if logprobs is None else logprobs[self.num_sent :],
            generation=generation,
        )
        self.sent_text += new_text
        self.num_sent += len(new_tokens)
        return update
