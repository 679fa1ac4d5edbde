"""Detokenizer: decodes tokens as they arrive, and ends a row at a stop string.

Under BPE one string has many tokenizations, and a token may reach past its end, so no automaton
over token ids is exact. The device decodes some tokens beyond a stop string; the host finds it in
the *text*, ends the row and cuts. The result equals that of a check after every token.
"""

import weakref
from collections.abc import Collection, Iterable, Mapping, Sequence

from data_pipeline.pyx.control_tokens import ControlTextError, Encoder, ordinary_encoder
from semcoder_jax.inference.params import Generation, SamplingError, SamplingParams

# Tokens of the prompt decoded together with the generation: a sentencepiece decoder drops the
# space before a text's first word, which must not be the first word generated.
DECODE_CONTEXT = 8
# The decoder's text for bytes that do not yet form a character.
UNFINISHED = "\N{REPLACEMENT CHARACTER}"


_ENCODERS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # by tokenizer


def encode_prompt(tokenizer, text: str) -> list[int]:
    """Returns BOS (if the tokenizer has one) and the tokens of `text`; see encode_text."""
    return bos_of(tokenizer) + encode_text(tokenizer, text, "prompt")


def bos_of(tokenizer) -> list[int]:
    return [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]


def encode_text(tokenizer, text: str, name: str) -> list[int]:
    """Returns the tokens of `text`.

    Text spelled as a control token is text: it gets the ids of its characters, as in training.
    Raises SamplingError, which calls the text `name`, if the tokenizer cannot spell it.
    """
    try:
        return list(ordinary_encoder_of(tokenizer)([text])[0])
    except ControlTextError as error:
        raise SamplingError(f"{name}: {error}") from None


def ordinary_encoder_of(tokenizer) -> Encoder:
    """Returns the tokenizer's encoder; making one copies the tokenizer, so it is kept."""
    if tokenizer not in _ENCODERS:
        _ENCODERS[tokenizer] = ordinary_encoder(tokenizer)
    return _ENCODERS[tokenizer]


def hidden_tokens(tokenizer) -> dict[str, int]:
    """Returns spelling -> id of the special tokens, which decoding leaves out of the text."""
    added = getattr(tokenizer, "get_added_vocab", dict)()
    return {
        spelling: token
        for spelling, token in added.items()
        if not tokenizer.decode([token], skip_special_tokens=True)
    }


def stop_tokens(params: SamplingParams, hidden: Mapping[str, int]) -> frozenset[int]:
    """Returns the ids that end a row: the asked ones, and those whose spelling is a stop string.

    `hidden` is from hidden_tokens. Raises SamplingError for a stop string that has a special
    token's spelling beside other text, if the text leaves out special tokens: it would never hold
    that string.
    """
    stop = params.stop
    for string in stop if params.skip_special_tokens else ():
        inside = [spelling for spelling in hidden if spelling in string]
        if inside and string not in hidden:
            raise SamplingError(
                f"stop={string!r}, which has the special token {inside[0]!r} beside other text; "
                f"expected one or the other"
            )
    return frozenset(params.stop_token_ids).union(hidden[s] for s in stop if s in hidden)


class RowText:
    """Decodes the text of one row as its tokens arrive, and finds its end.

    Args:
      prompt: ids before the generation; the last few are decoded with it.
      stop: strings that end the row.
      stop_tokens: ids that end it, though the device decodes on.
      skip_special_tokens, include_stop: see SamplingParams.
    """

    def __init__(
        self,
        tokenizer,
        prompt: Sequence[int],
        stop: Sequence[str],
        stop_tokens: Collection[int] = (),
        *,
        skip_special_tokens: bool = True,
        include_stop: bool = False,
    ):
        self._tokenizer = tokenizer
        self._skip_special_tokens = skip_special_tokens
        self._include_stop = include_stop
        self._context = list(prompt[-DECODE_CONTEXT:])
        self._context_text = self._decode(self._context)
        self._stop = stop
        self._stop_tokens = stop_tokens
        self._num_clean = 0  # tokens known to hold no stop string

    def finish(self, tokens: list[int], *, done: bool, eos_ids: Iterable[int]) -> Generation | None:
        """Returns the generation if `tokens` (all so far) hold a stop or the row is done."""
        first = self._first_of_stop_tokens(tokens)
        if first is not None:
            tokens, done = tokens[: first + 1], True
        ended = done and bool(tokens) and (first is not None or tokens[-1] in eos_ids)
        spoken = tokens[:-1] if ended else tokens
        if self._stop and (done or self._may_hold_stop(spoken)):
            end = self._first_stop_token(spoken)
            if end is not None:
                text = self.text(tokens[:end])
                cut, length = min((text.find(s), len(s)) for s in self._stop if s in text)
                cut += length * self._include_stop
                return Generation(text[:cut], tuple(tokens[:end]), "stop")
        self._num_clean = len(tokens)
        if not done:
            return None
        return Generation(
            self.text(tokens if self._include_stop else spoken),
            tuple(tokens),
            "stop" if ended else "length",
            end_token=tokens[-1] if ended else None,
        )

    def stable_text(self, tokens: list[int]) -> str:
        """Returns the part of the text that later tokens cannot change.

        Leaves out an incomplete character and a possible beginning of a stop string.
        """
        text = self.text(tokens).rstrip(UNFINISHED)
        held_back = max(
            (
                length
                for stop in self._stop
                for length in range(1, min(len(stop), len(text)) + 1)
                if text.endswith(stop[:length])
            ),
            default=0,
        )
        return text[: len(text) - held_back]

    def text(self, tokens: list[int]) -> str:
        whole = self._decode(self._context + tokens)
        if whole.startswith(self._context_text):
            return whole[len(self._context_text) :]
        return self._decode(tokens)

    def _first_of_stop_tokens(self, tokens: list[int]) -> int | None:
        """Returns the place of the first stop token; earlier calls have seen all but the newest."""
        if not self._stop_tokens:
            return None
        places = range(self._num_clean, len(tokens))
        return next((place for place in places if tokens[place] in self._stop_tokens), None)

    def _may_hold_stop(self, tokens: list[int]) -> bool:
        """Searches the newest tokens only.

        Tokens without a byte can hide a stop string here; it is found when the row is done.
        """
        margin = max(len(stop.encode()) for stop in self._stop) + 4
        tail = self._decode(tokens[max(0, self._num_clean - margin) :])
        return any(stop in tail for stop in self._stop)

    def _first_stop_token(self, tokens: list[int]) -> int | None:
        """Finds the least n such that the text of tokens[:n] holds a stop string, by bisection."""

        def holds(n: int) -> bool:
            text = self.text(tokens[:n])
            return any(stop in text for stop in self._stop)

        if not holds(len(tokens)):
            return None
        low, high = 0, len(tokens)  # not holds(low), holds(high)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle, high)
        return high

    def _decode(self, tokens: list[int]) -> str:
        return self._tokenizer.decode(
            tokens,
            skip_special_tokens=self._skip_special_tokens,
            clean_up_tokenization_spaces=False,
        )
