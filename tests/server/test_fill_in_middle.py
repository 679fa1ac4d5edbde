"""Tests the prompts for filling in the middle against the published formats and tokenizers."""

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from semcoder_jax.server.fill_in_middle import middle_ends, middle_format, middle_prompt
from tests.support.byte_tokenizer import byte_tokenizer

PIECES = [("def quick_sort(arr):\n    if", "\n    return left"), ("", "x"), ("é = ", "\n\n# 三\n")]


def prompt_of(tokenizer, prefix, suffix):
    return middle_prompt(tokenizer, middle_format(tokenizer), prefix, suffix)


@pytest.mark.parametrize(("prefix", "suffix"), PIECES)
def test_deepseek_coder_in_its_own_tokenizer(shared_data, prefix, suffix):
    """The README's text, read by transformers, which reads control tokens in a text as such."""
    tokenizer = AutoTokenizer.from_pretrained(shared_data / "tokenizer")
    text = f"<｜fim▁begin｜>{prefix}<｜fim▁hole｜>{suffix}<｜fim▁end｜>"
    expected = tokenizer.encode(text, add_special_tokens=False)
    assert prompt_of(tokenizer, prefix, suffix) == [tokenizer.bos_token_id, *expected]
    spelled = prompt_of(tokenizer, "<｜fim▁hole｜>", "x")
    assert spelled.count(tokenizer.convert_tokens_to_ids("<｜fim▁hole｜>")) == 1


@pytest.mark.parametrize(("prefix", "suffix"), PIECES)
def test_qwen_coder(prefix, suffix):
    tokenizer = byte_tokenizer()
    tokenizer.bos_token = None  # as Qwen's
    marks = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    text = f"<|fim_prefix|>{prefix}<|fim_suffix|>{suffix}<|fim_middle|>"
    expected = tokenizer.encode(text, add_special_tokens=False)
    assert prompt_of(tokenizer, prefix, suffix) == expected


def code_llama():
    """A sentencepiece tokenizer that puts a space before a text, of letters and bytes."""
    letters = ["▁", *"abcdef():\n", "▁a"]
    special = ["<unk>", "<s>", "</s>"]
    marks = ["▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>"]
    vocabulary = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    model = models.BPE(
        {token: n for n, token in enumerate(vocabulary)},
        [("▁", "a")],
        unk_token="<unk>",
        fuse_unk=True,
        byte_fallback=True,
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    spaces = decoders.Replace("▁", " ")
    tokenizer.decoder = decoders.Sequence([spaces, decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([*special, *marks])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def test_code_llama_joins_the_suffix_to_the_middle():
    """The paper's `<PRE> {prefix} <SUF>{suffix} <MID>`: only the prefix begins with a space."""
    tokenizer = code_llama()
    ids = tokenizer.get_vocab()
    found = prompt_of(tokenizer, "a b", "a\né")
    spelled = ["<s>", "▁<PRE>", "▁a", "▁", "b", "▁<SUF>", "a", "\n", "<0xC3>", "<0xA9>", "▁<MID>"]
    assert found == [ids[token] for token in spelled]
    assert middle_ends(tokenizer, middle_format(tokenizer)) == (ids["▁<EOT>"],)


def test_other_tokenizers_have_no_middle():
    assert middle_format(byte_tokenizer()) is None
