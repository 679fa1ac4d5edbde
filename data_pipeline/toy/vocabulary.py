"""Trains a lossless word-level tokenizer for a small corpus.

A word is a unit that a small model should read or write in one step: a fixed sentence, a value
(`[1, 3]`), a variable before its value (`a=`), a line label with the following indentation. The
most frequent words of the corpus get one id each; other text falls back to bytes, so decoding
restores the encoded text exactly. The result is an ordinary Hugging Face tokenizer
(byte-level BPE without merges; `ignore_merges` takes whole words), loaded by transformers alone.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BOS, EOS, PAD = "<s>", "</s>", "<pad>"

_VALUE = r"(?:\d+|'[^'\n]*'|\[[\d, ]*\]|True|False)"
# Alternatives in order of preference; text that matches none becomes single characters.
WORDS = (
    # Headings with their fixed sentences, up to where a value or step begins.
    r"(?:\.?\n*###[^\n]*\n(?:[A-Z][^\n=\d\['`]*\.\n+)?)+(?:\d+\. |[A-Z][a-z ]+ )?",
    r"(?:\.?\n*\[/?[A-Z]{2,}\]\n*)+(?:(?:assert|def) f\()?",  # tags, and what they open
    r"[A-Z][a-z]+ [^\n=\d]*\n+",  # an instruction
    r"\.?\n\d+\. ",  # from one step to the next
    r"\[L\d+\] ",  # the line that a step speaks of
    r" # \[L\d+\]\n *",  # the label of a code line, and the indentation of the next
    r"[A-Za-z_]+=",  # a variable, before its value
    r"\[:*-?\d*:*-?\d*\]",  # an index or a slice
    _VALUE,
    r"iteration \d+ of ",
    r"(?:return|assert|def|for|if) (?:f\()?",
    r" (?:[a-z]{2,} )+",  # words between values
    r" (?:[a-z]{2,} )+[a-z]+",  # words up to the end of a sentence
    r"\.?[A-Za-z_]+\(?",  # a name, a call, a method call
    r"\)? [^\sA-Za-z_\d\[\]'#]+ (?:\?\?)?",  # operators
    r", |[^\sA-Za-z_\d\[\]'#]+",  # punctuation
    r"\s+",
)


def train_tokenizer(
    texts: Iterable[str], max_words: int, *, words: Sequence[str] = WORDS
) -> "PreTrainedTokenizerFast":
    """Makes a tokenizer of the `max_words` most frequent words of `texts`, all bytes, BOS, EOS.

    words: regular expressions in order of preference; what matches none becomes characters.
    """
    # Slow to import, and workers that generate programs do not need it.
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.Split(Regex("|".join(words)), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    counter = Tokenizer(models.WordLevel())
    counter.pre_tokenizer = pre_tokenizer
    # Numbers words by frequency, then by their characters; the alphabet is in any case kept.
    most_frequent = trainers.WordLevelTrainer(
        vocab_size=max_words + len(alphabet), show_progress=False
    )
    counter.train_from_iterator(texts, most_frequent)
    number_of = counter.get_vocab()
    kept = [word for word in sorted(number_of, key=number_of.__getitem__) if len(word) > 1]
    kept = kept[:max_words]
    vocabulary = {word: i for i, word in enumerate([PAD, BOS, EOS, *alphabet, *kept])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD
    )
