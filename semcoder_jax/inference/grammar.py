"""Constrains generated text to a grammar, with llguidance (extra: grammar).

A matcher follows one row on the host: before each step it says which tokens the grammar allows, as
a bit mask that the device applies to the row's logits; afterwards it is told the token. The row
may end only where the grammar's text may, and must where no more text is possible.
"""

import json
import logging
import re
import weakref
from typing import Any

import numpy as np

from semcoder_jax.inference.params import Grammar, SamplingError

logger = logging.getLogger("semcoder_jax.inference")
_META = re.compile(r"[\\.+*?()|\[\]{}^$#&~-]")  # of Rust's regular expressions
_TOKENIZERS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # llguidance's, by ours


def check_grammar(tokenizer, grammar: Grammar, eos_ids: tuple[int, ...]) -> Any:
    """Returns the compiled grammar, for RowMatcher.

    Raises SamplingError if llguidance is missing, or the grammar or the tokenizer is not supported.
    """
    try:
        from llguidance import LLMatcher
    except ImportError:
        message = "grammar: llguidance is not installed, with which it works (extra: grammar)"
        raise SamplingError(message) from None
    if not eos_ids:
        raise SamplingError("grammar: the model has no end token, which would end the text")
    compiled = _compile(LLMatcher, grammar)
    vocabulary = _llguidance_tokenizer(tokenizer, eos_ids[0])
    wrong, messages = LLMatcher.validate_grammar_with_warnings(compiled, vocabulary)
    if wrong:
        raise SamplingError(f"grammar: {_one_line(messages[0])}")
    return LLMatcher(vocabulary, compiled, log_level=0)


def _compile(matcher_type, grammar: Grammar) -> str:
    try:
        if grammar.kind == "json_schema":
            return matcher_type.grammar_from_json_schema(grammar.text)
        if grammar.kind == "choice":
            texts = [_META.sub(r"\\\g<0>", text) for text in json.loads(grammar.text)]
            return matcher_type.grammar_from_regex("|".join(texts))
        return matcher_type.grammar_from_regex(grammar.text)
    except ValueError as error:
        raise SamplingError(f"grammar: {_one_line(error)}") from None


def _llguidance_tokenizer(tokenizer, eos_id: int):
    from llguidance import LLTokenizer

    if tokenizer not in _TOKENIZERS:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise SamplingError("grammar: expected a model with a tokenizer.json")
        try:
            _TOKENIZERS[tokenizer] = LLTokenizer(backend.to_str(), eos_token=eos_id)
        except ValueError as error:
            message = f"grammar: this tokenizer's text cannot be constrained ({_one_line(error)})"
            raise SamplingError(message) from None
    return _TOKENIZERS[tokenizer]


class RowMatcher:
    """Follows the text of one row.

    Args:
      compiled: result of check_grammar; it is copied.
      eos_ids: tokens that end the row, where the grammar allows that.
    """

    def __init__(self, compiled, eos_ids: tuple[int, ...]):
        self._matcher = compiled.deep_copy()
        self._eos_ids = eos_ids

    def write_allowed(self, words_W: np.ndarray) -> None:
        """Writes the mask of the next token into `words_W`, uint32; see logits.allow_only."""
        words_W[:] = 0
        mask = np.frombuffer(self._matcher.compute_bitmask(), np.uint32)[: len(words_W)]
        words_W[: len(mask)] = mask
        may_end = self._matcher.is_accepting()
        if self._matcher.is_error():
            logger.warning("grammar: %s; the row ends", _one_line(self._matcher.get_error()))
            words_W[:], may_end = 0, True
        # Also of an end token that spells text: where the row may not end, it must not come.
        for token in self._eos_ids:
            bit = np.uint32(1 << token % 32)
            words_W[token // 32] = words_W[token // 32] & ~bit | bit * np.uint32(may_end)

    def accept(self, tokens: list[int]) -> None:
        """Notes the tokens that the row got, each allowed when it was chosen."""
        for token in tokens:
            if token not in self._eos_ids:
                self._matcher.consume_token(token)


def _one_line(error) -> str:
    return " ".join(str(error).split())
