"""Tests that an exported run carries the prompt it was trained with as its chat template."""

import json
import shutil

import pytest
from transformers import AutoTokenizer

from data_pipeline.pyx.chat_template import chat_template
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import make_record
from semcoder_jax import hf
from semcoder_jax.conversion import export, import_hf
from semcoder_jax.loading import load_model


@pytest.fixture(scope="module")
def imported(small_model, tmp_path_factory):
    output = tmp_path_factory.mktemp("imported") / "workdir"
    import_hf(small_model, output, progress=False)
    return output


@pytest.fixture
def workdir(imported, tmp_path):
    """A workdir whose record a test writes."""
    return shutil.copytree(imported, tmp_path / "workdir")


def record_run(workdir, **data):
    (workdir / "config.json").write_text(json.dumps({"data": data}))


def test_an_export_of_a_run_speaks_the_prompt_of_its_records(workdir, tmp_path):
    record_run(workdir, source="pyx")
    export(workdir, tmp_path / "out", progress=False)
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")
    text = "Add 1 and 2.\n"
    messages = [{"role": "user", "content": text}]
    prompt = training_prompt(make_record("a", "nl", text, "x"))
    opened = {"add_generation_prompt": True, "return_dict": False}
    shown = theirs.apply_chat_template(messages, tokenize=False, **opened)
    assert shown == theirs.bos_token + prompt
    ids = [theirs.bos_token_id, *theirs.encode(prompt, add_special_tokens=False)]
    assert theirs.apply_chat_template(messages, **opened) == ids
    # Exported again, the directory keeps it.
    export(tmp_path / "out", tmp_path / "again", progress=False)
    name = "chat_template.jinja"
    assert (tmp_path / "again" / name).read_text() == (tmp_path / "out" / name).read_text()


@pytest.mark.parametrize("place", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_template_of_the_tokenizers_own_is_kept(workdir, tmp_path, place):
    own = "{% for m in messages %}{{ m.content }}{% endfor %}"
    path = workdir / "model" / place
    if path.suffix == ".json":
        path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": own}))
    else:
        path.write_text(own)
    record_run(workdir, source="jsonl")
    tokenizer = load_model(workdir).tokenizer
    hf.write_model_directory(tmp_path / "out", hf.read_config(workdir / "model"), tokenizer)
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == own
    assert (tmp_path / "out" / "chat_template.jinja").is_file() == (path.suffix == ".jinja")


def test_who_never_learned_the_prompt_has_no_template(workdir):
    assert load_model(workdir).tokenizer.chat_template is None  # imported
    record_run(workdir, source="synthetic")  # asks for executions only
    assert load_model(workdir).tokenizer.chat_template is None
    record_run(workdir, source="tokens")
    assert load_model(workdir).tokenizer.chat_template == chat_template()
