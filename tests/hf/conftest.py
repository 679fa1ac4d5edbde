"""A small tokenizer, and a small model that has it: made here, so that any machine has them."""

from pathlib import Path

import pytest

from data_pipeline.toy.vocabulary import train_tokenizer
from semcoder_jax import hf
from tests.support.random_llama import GROUPED, random_llama

VOCABULARY = 512


@pytest.fixture(scope="session")
def tokenizer_directory(tmp_path_factory) -> Path:
    """A tokenizer of 512 ids, trained on the sources of these tests."""
    directory = tmp_path_factory.mktemp("tokenizer")
    texts = [path.read_text() for path in sorted(Path(__file__).parent.glob("*.py"))]
    tokenizer = train_tokenizer(texts, VOCABULARY - 3 - 256)  # beside special ids and bytes
    assert len(tokenizer) == VOCABULARY
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def small_tokenizer(tokenizer_directory):
    """Its ids fit random models of 512 embeddings."""
    return hf.read_tokenizer(tokenizer_directory)


@pytest.fixture(scope="session")
def small_model(tokenizer_directory, tmp_path_factory) -> Path:
    """A directory as published: five layers, tied embeddings, a tokenizer and a licence."""
    directory = tmp_path_factory.mktemp("small") / "model"
    fields = {"vocab_size": VOCABULARY, "num_hidden_layers": 5, "tie_word_embeddings": True}
    special = {"bos_token_id": 1, "eos_token_id": 2}
    random_llama(directory, GROUPED | fields | special)
    for path in tokenizer_directory.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    (directory / "LICENSE").write_text("As you like.")
    return directory
