"""Keeps the text of control tokens out of their ids: a record's text is ordinary text.

A tokenizer reads "<|endoftext|>" in a program or a value as the token that ends a document, and
training would then teach to end there. `OrdinaryEncoder` gives such text the ids of its characters
and all other text the ids that the tokenizer gives it. A build leaves out records whose text other
programs' tokenizers might read so (`find_control_text`).
"""

import itertools
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

# Tokens spelled as marks, e.g. DeepSeekCoder's <|EOT|> and <pad>: their tokenizer does not flag
# them as special.
_MARK = re.compile(r"<[^\s<>]+>|\[(?:PAD|UNK|CLS|SEP|MASK|BOS|EOS)\]")
# Marks of published tokenizers. Other text in angle brackets is HTML or a name.
_KNOWN_TEXT = re.compile(
    r"<\|[^\s|<>]+\|>|<｜[^\s｜<>]+｜>|</?s>|<(?:pad|unk|bos|eos|cls|sep|mask|endoftext)>"
    r"|<fim[_-]\w+>|<(?:start|end)_of_turn>|\[(?:PAD|CLS|SEP|MASK|BOS|EOS)\]|\[/?INST\]"
)


Encoder = Callable[[Sequence[str]], list[list[int]]]


class ControlTextError(ValueError):
    """Reports text that a tokenizer cannot read but as a control token; one line."""


def find_control_text(text: str) -> str | None:
    """Returns the first text in `text` that a published tokenizer reads as a control token."""
    found = _KNOWN_TEXT.search(text)
    return found and found[0]


def control_tokens(backend: Any, named: Sequence[str] = ()) -> dict[str, int]:
    """Returns token -> id of the control tokens of a `tokenizers.Tokenizer`.

    These are the added tokens that are special or spelled as marks, and those in `named`.
    """
    found = {}
    for number, token in backend.get_added_tokens_decoder().items():
        if token.special or token.content in named or _MARK.fullmatch(token.content):
            found[token.content] = number
    return found


class OrdinaryEncoder:
    """Encodes texts without control tokens.

    Args:
      backend: a `tokenizers.Tokenizer`; it is copied.
      named: tokens with a role, such as BOS, which need not be flagged as special.
      unknown: the token that stands for unknown words, which text may become.
    """

    def __init__(self, backend: Any, named: Sequence[str] = (), unknown: str | None = None):
        self.tokens = control_tokens(backend, named)
        self._forbidden = {n for token, n in self.tokens.items() if token != unknown}
        self._marks = re.compile(
            "|".join(re.escape(token) for token in sorted(self.tokens, key=len, reverse=True))
            or r"(?!)"
        )
        self._backend = _as_text(backend, frozenset(self.tokens))

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each text. Raises ControlTextError."""
        ids = [e.ids for e in self._backend.encode_batch_fast(texts, add_special_tokens=False)]
        for number, text in enumerate(texts):
            if self._marks.search(text) and not self._forbidden.isdisjoint(ids[number]):
                ids[number] = self._apart(text)
        return ids

    def _apart(self, text: str) -> list[int]:
        """Encodes the first character of each mark apart from the rest of it.

        For tokenizers of whole words, in whose vocabulary the mark is also a word.
        """
        cuts = [0, *(found.start() + 1 for found in self._marks.finditer(text)), len(text)]
        ids: list[int] = []
        for start, end in itertools.pairwise(cuts):
            ids += self._backend.encode(text[start:end], add_special_tokens=False).ids
        if not self._forbidden.isdisjoint(ids):
            mark = self._marks.search(text)
            raise ControlTextError(
                f"tokenizer: the text {mark and mark[0]!r} becomes a control token; "
                "expected a tokenizer that can spell it"
            )
        return ids


def _as_text(backend: Any, tokens: frozenset[str]) -> Any:
    """Returns a copy of a tokenizer that reads `tokens` in a text as ordinary text."""
    from tokenizers import Tokenizer

    content = json.loads(backend.to_str())
    for token in content["added_tokens"]:
        # The library can read special tokens as text, and only those.
        token["special"] = token["special"] or token["content"] in tokens
    content["truncation"] = content["padding"] = None
    copy = Tokenizer.from_str(json.dumps(content))
    copy.encode_special_tokens = True
    return copy


def ordinary_encoder(tokenizer: Any) -> Encoder:
    """Returns the encoder of a transformers tokenizer: texts to ids, without control tokens."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return OrdinaryEncoder(backend, tuple(tokenizer.all_special_tokens), tokenizer.unk_token)
    # Written in Python; transformers itself reads its special tokens as text.
    return lambda texts: tokenizer(
        texts, add_special_tokens=False, split_special_tokens=True, verbose=False
    )["input_ids"]
