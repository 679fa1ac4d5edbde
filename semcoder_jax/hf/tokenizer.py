"""Reads the tokenizer of a model directory, and copies its files instead of rewriting them."""

import fnmatch
import shutil
from pathlib import Path

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from data_pipeline.files import as_path, local_copy
from semcoder_jax.errors import HFError
from semcoder_jax.hf.config import CONFIG_FILE, read_json, write_json

TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
CHAT_TEMPLATE_FILE = "chat_template.jinja"
TOKENIZER_FILES = (
    "tokenizer.json",
    TOKENIZER_CONFIG_FILE,
    "special_tokens_map.json",
    "added_tokens.json",
    CHAT_TEMPLATE_FILE,
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
)
SMALL_FILES = (*TOKENIZER_FILES, CONFIG_FILE, "generation_config.json", "README.md", "LICENSE*")


def is_small_file(name: str) -> bool:
    """Returns whether a name in a model directory is a file that goes with the weights."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in SMALL_FILES)


def read_tokenizer(directory: str | Path) -> PreTrainedTokenizerBase:
    """Returns the tokenizer of `directory`/tokenizer.json, token for token.

    Encode with `add_special_tokens=False` and add BOS and EOS by id: whether the tokenizer adds
    them by itself depends on the version of transformers. Decoding never tidies up spaces.
    Raises HFError if the file is missing or malformed, or if config.json beside it has fewer
    vocabulary rows than the tokenizer has tokens.
    """
    directory = as_path(directory)
    if not (directory / "tokenizer.json").is_file():
        raise HFError(f"{directory}/tokenizer.json: no such file")
    here = local_copy(directory, wanted=is_small_file)
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(
            here, clean_up_tokenization_spaces=False, local_files_only=True
        )
    except Exception as error:  # the tokenizers library raises bare Exception
        raise HFError(f"{directory}/tokenizer.json: not a readable tokenizer ({error})") from error
    if (directory / CONFIG_FILE).is_file():
        rows = read_json(directory / CONFIG_FILE).get("vocab_size")
        if isinstance(rows, int):
            check_vocabulary(tokenizer, rows, str(directory))
    return tokenizer


def tokenizer_size(tokenizer: PreTrainedTokenizerBase) -> int:
    """Returns the number of token ids: the greatest id plus one.

    DeepSeekCoder's is 32,022 of 32,256 vocabulary rows; the rows above are never trained, decode
    to nothing, and must never be sampled.
    """
    return max(tokenizer.get_vocab().values()) + 1


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, rows: int, where: str) -> None:
    """Raises HFError unless every token has a row among the model's `rows`."""
    size = tokenizer_size(tokenizer)
    if size > rows:
        raise HFError(
            f"{where}: the tokenizer has {size} tokens, the model only {rows} vocabulary rows"
        )


def write_tokenizer(tokenizer: PreTrainedTokenizerBase, directory: Path) -> None:
    """Writes the tokenizer's files: byte-for-byte copies from its directory, else as saved anew.

    Two exceptions: transformers 5 saves the class name "TokenizersBackend", which transformers 4
    does not know; it becomes "PreTrainedTokenizerFast", valid in both. A chat template that the
    tokenizer was given after it was read is written as chat_template.jinja.
    """
    source = Path(str(tokenizer.name_or_path))
    if not (source / "tokenizer.json").is_file():
        tokenizer.save_pretrained(directory)
    elif source.resolve() != directory.resolve():
        for name in TOKENIZER_FILES:
            if (source / name).is_file():
                shutil.copyfile(source / name, directory / name)
    path = directory / TOKENIZER_CONFIG_FILE
    fields = read_json(path) if path.is_file() else {}
    if fields.get("tokenizer_class") == "TokenizersBackend":
        write_json(path, fields | {"tokenizer_class": "PreTrainedTokenizerFast"})
    template = directory / CHAT_TEMPLATE_FILE
    given = getattr(tokenizer, "chat_template", None)
    if isinstance(given, str) and "chat_template" not in fields and not template.is_file():
        template.write_text(given, encoding="utf-8")
