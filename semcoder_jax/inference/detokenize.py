"""Detokenizer: decodes tokens as they arrive, and ends a row at a stop string.

Under BPE one string has many tokenizations, and a token may reach past its end, so no automaton
over token ids is exact. The device decodes some tokens beyond a stop string; the host finds it in
the *text*, ends the row and cuts. The result equals that of a check after every token.
"""

from collections.abc import Iterable, Sequence

from semcoder_jax.inference.params import Generation

# Tokens of the prompt decoded together with the generation: a sentencepiece decoder drops the
# space before a text's first word, which must not be the first word generated.
DECODE_CONTEXT = 8
# The decoder's text for bytes that do not yet form a character.
UNFINISHED = "\N{REPLACEMENT CHARACTER}"


def encode_prompt(tokenizer, text: str) -> list[int]:
    """Returns BOS (if the tokenizer has one) and the tokens of `text`, without special tokens."""
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return bos + tokenizer.encode(text, add_special_tokens=False)


class RowText:
    """Decodes the text of one row as its tokens arrive, and finds its end.

    Args:
      prompt: ids before the generation; the last few are decoded with it.
      stop: strings that end the row.
    """

    def __init__(self, tokenizer, prompt: Sequence[int], stop: Sequence[str]):
        self._tokenizer = tokenizer
        self._context = list(prompt[-DECODE_CONTEXT:])
        self._context_text = self._decode(self._context)
        self._stop = stop
        self._num_clean = 0  # tokens known to hold no stop string

    def finish(self, tokens: list[int], *, done: bool, eos_ids: Iterable[int]) -> Generation | None:
        """Returns the generation if `tokens` (all so far) hold a stop string or the row is done."""
        if self._stop and (done or self._may_hold_stop(tokens)):
            end = self._first_stop_token(tokens)
            if end is not None:
                text = self.text(tokens[:end])
                cut = min(i for i in (text.find(stop) for stop in self._stop) if i >= 0)
                return Generation(text[:cut], tuple(tokens[:end]), "stop")
        self._num_clean = len(tokens)
        if not done:
            return None
        at_eos = bool(tokens) and tokens[-1] in eos_ids
        text = self.text(tokens[:-1] if at_eos else tokens)
        return Generation(text, tuple(tokens), "stop" if at_eos else "length")

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
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
