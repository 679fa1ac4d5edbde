"""Prompts that ask for the text between a prefix and a suffix (fill in the middle).

Sources: DeepSeek-Coder (Guo et al., 2024), section 3.1.2, and its README; Code Llama (Rozière et
al., 2023), section 2.3, and transformers' CodeLlamaTokenizer; Qwen2.5-Coder's README.
"""

import dataclasses

from semcoder_jax.inference.detokenize import bos_of, encode_text

_APART = "☺"  # as in Code Llama: keeps the decoder's first space out of the suffix


@dataclasses.dataclass(frozen=True)
class MiddleFormat:
    """Control tokens around prefix and suffix.

    Attributes:
      before, between, after: spelling of the tokens before the prefix, between prefix and suffix,
        and after the suffix.
      end: spelling of a token that ends the middle beside the model's end tokens, if there is one.
      joined: whether the suffix is spelled without the space that sentencepiece puts before a text.
    """

    before: str
    between: str
    after: str
    end: str | None = None
    joined: bool = False


FORMATS = (
    MiddleFormat("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek-Coder
    MiddleFormat("▁<PRE>", "▁<SUF>", "▁<MID>", end="▁<EOT>", joined=True),  # Code Llama
    MiddleFormat("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen2.5-Coder
)


def middle_format(tokenizer) -> MiddleFormat | None:
    """Returns the format whose tokens the tokenizer has; None if it has none."""
    vocabulary = tokenizer.get_vocab()
    for each in FORMATS:
        if all(token in vocabulary for token in (each.before, each.between, each.after)):
            return each
    return None


def middle_prompt(tokenizer, format: MiddleFormat, prefix: str, suffix: str) -> list[int]:
    """Returns the prompt for the text between `prefix` and `suffix`, which are ordinary text.

    Raises SamplingError if the tokenizer cannot spell them.
    """
    vocabulary = tokenizer.get_vocab()
    before, between, after = (
        vocabulary[token] for token in (format.before, format.between, format.after)
    )
    prefix_tokens = encode_text(tokenizer, prefix, "prompt") if prefix else []
    suffix_tokens = _encode_suffix(tokenizer, format, suffix)
    return [*bos_of(tokenizer), before, *prefix_tokens, between, *suffix_tokens, after]


def middle_ends(tokenizer, format: MiddleFormat) -> tuple[int, ...]:
    """Returns the ids that end the middle beside the model's end tokens."""
    token = format.end and tokenizer.get_vocab().get(format.end)
    return () if token is None else (token,)


def _encode_suffix(tokenizer, format: MiddleFormat, suffix: str) -> list[int]:
    if not format.joined:
        return encode_text(tokenizer, suffix, "suffix")
    apart = encode_text(tokenizer, _APART, "suffix")
    return encode_text(tokenizer, _APART + suffix, "suffix")[len(apart) :]
