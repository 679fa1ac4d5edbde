"""Reads which tokens end a generation from the files of a model directory."""

from collections.abc import Mapping
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from data_pipeline.files import as_path
from semcoder_jax.errors import HFError
from semcoder_jax.hf.config import CONFIG_FILE, read_json

GENERATION_CONFIG_FILE = "generation_config.json"
END_FIELD = "eos_token_id"


def read_end_tokens(
    directory: str | Path, tokenizer: PreTrainedTokenizerBase | None = None
) -> tuple[int, ...]:
    """Returns the ids that end a row, as `transformers.generate` ends it.

    generation_config.json names one or several; where it names none, config.json does, and else
    `tokenizer` by its EOS. Raises HFError if a file names anything but ids.
    """
    for name in (GENERATION_CONFIG_FILE, CONFIG_FILE):
        path = as_path(directory) / name
        if path.is_file() and (ids := end_tokens_of(read_json(path), str(path))):
            return ids
    eos = None if tokenizer is None else tokenizer.eos_token_id
    return () if eos is None else (eos,)


def end_tokens_of(fields: Mapping, where: str) -> tuple[int, ...]:
    """Returns the end tokens in a parsed config file; `where` names it in errors."""
    value = fields.get(END_FIELD)
    ids = value if isinstance(value, list) else [] if value is None else [value]
    for token in ids:
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < 2**31:
            raise HFError(f"{where}: {END_FIELD}={value!r:.100}, expected an id or a list of ids")
    return tuple(dict.fromkeys(ids))


def with_end_token(fields: Mapping, token: int | None) -> dict:
    """Returns the fields of a generation_config.json that also ends rows at `token`."""
    ids = end_tokens_of(fields, GENERATION_CONFIG_FILE)
    if token is None or token in ids:
        return dict(fields)
    return dict(fields) | {END_FIELD: [*ids, token] if ids else token}
