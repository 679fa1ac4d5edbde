"""Compares models in the public API with transformers and with the command line."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import semcoder_jax as sc
from tests.support.tiny_checkpoint import write_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("api") / "tiny")


def test_load_and_generate_are_transformers_greedy(checkpoint):
    model = sc.load(checkpoint)
    prompt = "def f(x):"
    [ours] = model.generate([prompt], sc.SamplingParams(max_new_tokens=8))
    ids = [model.tokenizer.bos_token_id, *model.tokenizer.encode(prompt, add_special_tokens=False)]
    theirs = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    output = theirs.generate(torch.tensor([ids]), max_new_tokens=8, do_sample=False)
    np.testing.assert_array_equal(ours.tokens, output[0, len(ids) :].tolist())
    assert sc.generate(checkpoint, [prompt], sc.SamplingParams(max_new_tokens=8)) == [ours]


def test_import_export_and_verify(checkpoint, tmp_path):
    sc.import_hf(checkpoint, tmp_path / "workdir", progress=False)
    written = sc.export(tmp_path / "workdir", tmp_path / "out", progress=False)
    assert written.directory == tmp_path / "out" and written.dtype == "float32"
    report = sc.verify_export(checkpoint, written.directory, rows=1, tokens=16, progress=False)
    assert report.passed, str(report)


def test_mistakes_are_user_errors(tmp_path):
    for attempt in (
        lambda: sc.load(tmp_path / "absent"),
        lambda: sc.export(tmp_path / "absent", tmp_path / "out"),
        lambda: sc.train({"nonsense": 1}, tmp_path / "run"),
        lambda: sc.train("configs/absent.py", tmp_path / "run"),
        lambda: sc.plan("configs/quickstart.py", "v5e:7x7"),
        lambda: sc.evaluate("configs/eval/heldout.py", checkpoint=tmp_path),
        lambda: sc.serve(tmp_path, host="256.1.1.1"),
    ):
        with pytest.raises(sc.UserError):
            attempt()


@pytest.mark.parametrize("wrong", [{"dtype": "float8"}, {"quantize": "int3"}, {"quantize": 8}])
def test_settings_that_load_does_not_know_are_user_errors(checkpoint, wrong):
    (name,) = wrong
    with pytest.raises(sc.UserError, match=name):
        sc.load(checkpoint, **wrong)
