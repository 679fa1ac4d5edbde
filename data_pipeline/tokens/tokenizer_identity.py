"""Compares tokenizers: computes a digest, or describes the first difference.

Compares the ids of all tokens, BOS and EOS, and the ids of a text with many sorts of tokens,
because tokenizers with equal vocabularies may have different rules. Tokens added around a text are
ignored. A tokenizer is a `transformers.PreTrainedTokenizerBase`.
"""

import hashlib
import json
from typing import Any

# Changing this text changes every digest, so prepared tokens would have to be made again.
_TEXT = (
    "def f(xs: list[int]) -> int:  # [L5]\n\treturn sum(x ** 2 for x in xs if x >= 10) - 0x1F\n\n\n"
    "    assert f([1, 23, -456]) == '7 890'\r\n[MONOLOGUE]\n### Täglich über 漢字, Ω ≈ 3.14 🙂  "
)


def tokenizer_digest(tokenizer: Any) -> str:
    """Returns a hexadecimal SHA-256 of everything that is compared."""
    vocabulary = sorted(tokenizer.get_vocab().items())
    content = [
        vocabulary,
        tokenizer.bos_token_id,
        tokenizer.eos_token_id,
        _token_ids(tokenizer, _TEXT),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def tokenizer_difference(ours: Any, theirs: Any, *, may_add_tokens: bool = False) -> str | None:
    """Describes the first difference between two tokenizers; None if they are equal.

    With `may_add_tokens`, ours may have more tokens. Also compares a text made of up to a thousand
    tokens of the vocabulary.
    """
    our_ids, their_ids = ours.get_vocab(), theirs.get_vocab()
    tokens = their_ids if may_add_tokens else our_ids | their_ids
    for token in sorted(tokens, key=lambda token: (their_ids.get(token, len(tokens)), token)):
        if our_ids.get(token) != their_ids.get(token):
            here, there = our_ids.get(token, "missing"), their_ids.get(token, "missing")
            return f"token {token!r} is {here} here, {there} there"
    for name in ("bos_token_id", "eos_token_id"):
        if getattr(ours, name) != getattr(theirs, name):
            return f"{name} is {getattr(ours, name)} here, {getattr(theirs, name)} there"
    words = theirs.decode(sorted(their_ids.values())[:: 1 + len(their_ids) // 1000])
    for text in (_TEXT, words):
        here, there = _token_ids(ours, text), _token_ids(theirs, text)
        if here != there:
            return f"the same tokens, but a text of {len(here)} here has {len(there)} there"
    return None


def _token_ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer([text], add_special_tokens=False)["input_ids"][0])
