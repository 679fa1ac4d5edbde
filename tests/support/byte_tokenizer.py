"""Makes a tokenizer of one token a byte, with control tokens and added words."""

from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

MARKS = ("<s>", "</s>", "<|endoftext|>", "<pad>")


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, then control tokens with and without the flag, and words that are none."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={t: n for n, t in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>", "<|endoftext|>"])
    tokenizer.add_tokens([AddedToken("<pad>", special=False), AddedToken("    ", special=False)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def save_byte_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    tokenizer = byte_tokenizer()
    tokenizer.save_pretrained(directory)
    return tokenizer
