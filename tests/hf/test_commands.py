"""Tests the commands end to end on real weights, with a local server as the hub."""

import json
import shutil
import sys

import huggingface_hub
import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from transformers import AutoTokenizer

from semcoder_jax import hf, loading
from semcoder_jax.commands.hf import main
from tests.support.hub_stand_in import Hub


@pytest.fixture(scope="module")
def source(small_model, tmp_path_factory):
    return shutil.copytree(small_model, tmp_path_factory.mktemp("hf") / "model")


@pytest.fixture(scope="module")
def workdir(source):
    output = source.parent / "workdir"
    assert main(["import", f"--source={source}", f"--output={output}"]) == 0
    return output


@pytest.fixture
def hub(monkeypatch, tmp_path):
    server = Hub()
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    files = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    yield server
    server.close()


def failure(capsys, arguments) -> str:
    """The one line on stderr of a command that fails."""
    capsys.readouterr()
    assert main(arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_import_then_export_is_the_same_model(source, workdir, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["export", f"--checkpoint={workdir}", f"--output={out}"]) == 0
    ours, theirs = (load_file(path / "model.safetensors") for path in (out, source))
    assert ours.keys() == theirs.keys()
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in theirs)
    for name in ("tokenizer.json", "LICENSE"):
        assert (out / name).read_bytes() == (source / name).read_bytes()
    assert hf.read_config(out) == hf.read_config(source)
    assert "exporting: 100%" in capsys.readouterr().err


def test_imported_workdir_is_what_load_model_takes(source, workdir):
    model = loading.load_model(workdir)
    config, params = hf.load(source)
    assert model.config == config
    jax.tree.map(np.testing.assert_array_equal, model.params, params)


def test_verify_equal_rounded_and_different(source, workdir, tmp_path, capsys):
    small = ["--rows=2", "--tokens=64"]
    assert main(["verify", f"--source={source}", f"--checkpoint={workdir}", *small]) == 0
    report = capsys.readouterr().out
    assert "tensors identical              47 of 47" in report and "\nequal" in report

    half = tmp_path / "half"
    main(["export", f"--checkpoint={workdir}", f"--output={half}", "--dtype=bfloat16"])
    assert main(["verify", f"--source={half}", f"--checkpoint={workdir}", *small]) == 0
    assert "identical after rounding     47" in capsys.readouterr().out

    wrong = shutil.copytree(source, tmp_path / "wrong")
    tensors = load_file(wrong / "model.safetensors")
    name = "model.layers.3.self_attn.k_proj.weight"
    tensors[name] = tensors[name][::-1].copy()  # a layout mistake: same numbers, other rows
    save_file(tensors, wrong / "model.safetensors")
    for arguments in (
        [f"--source={wrong}", f"--checkpoint={workdir}"],
        [f"--source={source}", f"--checkpoint={wrong}"],
    ):
        assert main(["verify", *arguments, *small]) == 1
        report = capsys.readouterr().out
        assert f"different                    1\n    {name}" in report and "NOT EQUAL" in report


def test_verify_without_torch_names_the_command(source, workdir, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    assert "which needs torch: pip install torch" in failure(
        capsys, ["verify", f"--source={source}", f"--checkpoint={workdir}"]
    )


def test_verify_refuses_another_rope_scaling(source, workdir, tmp_path, capsys):
    wrong = shutil.copytree(source, tmp_path / "wrong")
    fields = json.loads((wrong / "config.json").read_text())
    fields["rope_parameters"] = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0}
    (wrong / "config.json").write_text(json.dumps(fields))
    assert "different architecture" in failure(
        capsys, ["verify", f"--source={wrong}", f"--checkpoint={workdir}"]
    )


def test_card_tells_base_recipe_scores_and_licence(workdir, tmp_path):
    trained = shutil.copytree(workdir, tmp_path / "trained")
    (trained / "config.json").write_text(json.dumps({"seed": 7, "train": {"num_steps": 1092}}))
    (tmp_path / "scores.json").write_text(json.dumps({"HumanEval pass@1": 0.793}))
    out = tmp_path / "semcoder-new"
    arguments = [
        f"--checkpoint={trained}",
        f"--output={out}",
        "--base_model=deepseek-ai/deepseek-coder-6.7b-base",
        f"--scores={tmp_path / 'scores.json'}",
        "--data=semcoder/PyX",
    ]
    assert main(["export", *arguments]) == 0
    card = huggingface_hub.ModelCard.load(out / "README.md")
    assert card.data.license == "other" and card.data.license_name == "deepseek-license"
    assert card.data.base_model == "deepseek-ai/deepseek-coder-6.7b-base"
    (result,) = card.data.eval_results
    assert (result.dataset_name, result.metric_value) == ("HumanEval", 0.793)
    for text in ('"num_steps": 1092', "semcoder/PyX", "DeepSeek Model License", "| 0.793 |"):
        assert text in card.text


def test_an_export_of_an_export_keeps_its_origin(workdir, tmp_path, capsys):
    trained = shutil.copytree(workdir, tmp_path / "trained")
    (trained / "config.json").write_text(json.dumps({"seed": 7, "note": "# a\n```\n"}))
    first, second, plain = (tmp_path / name for name in ("first", "second", "plain"))
    facts = ["--base_model=someone/base", "--license=mit", "--data=semcoder/PyX", "--data=mine"]
    assert main(["export", f"--checkpoint={trained}", f"--output={first}", *facts]) == 0
    again = ["export", f"--checkpoint={first}", f"--output={second}"]
    assert main(again) == 0
    card = huggingface_hub.ModelCard.load(second / "README.md")
    assert (card.data.license, card.data.base_model) == ("mit", "someone/base")
    recipe = card.text.partition("```json\n")[2].partition("\n```\n")[0]
    assert json.loads(recipe) == {"seed": 7, "note": "# a\n```\n"}
    assert "\n- semcoder/PyX\n- mine\n" in card.text

    (first / "README.md").write_text("---\nlicense: mit\n---\n# A card of someone's\n")
    assert main(["export", f"--checkpoint={first}", f"--output={plain}"]) == 0
    assert huggingface_hub.ModelCard.load(plain / "README.md").data.license == "unknown"

    (tmp_path / "link").symlink_to(first)
    before = {path.name: path.read_bytes() for path in first.iterdir()}
    for output in (first, tmp_path / "link"):
        onto = ["export", f"--checkpoint={first}", f"--output={output}", "--overwrite"]
        assert "is the checkpoint itself" in failure(capsys, onto)
    assert {path.name: path.read_bytes() for path in first.iterdir()} == before


def test_push_and_import_by_id(source, workdir, hub, tmp_path, capsys):
    out = tmp_path / "out"
    main(["export", f"--checkpoint={workdir}", f"--output={out}"])
    push = ["push", f"--directory={out}", "--repo_id=someone/model"]
    capsys.readouterr()
    assert main([*push, "--dry_run"]) == 0
    listing = capsys.readouterr().out
    assert "model.safetensors" in listing and "private" in listing and hub.repos == {}

    assert main(push) == 0
    assert hub.repos["someone/model"]["private"] is True
    assert hub.files("someone/model") == {p.name: p.read_bytes() for p in out.iterdir()}
    assert hub.tokens == {"Bearer hf_of_the_test"}
    assert main([*push, "--revision=second"]) == 0
    assert hub.files("someone/model", "second") == hub.files("someone/model")

    again = tmp_path / "again"
    assert main(["import", "--source=someone/model", f"--output={again}"]) == 0
    assert json.loads((again / "model" / "config.json").read_text())["_name_or_path"] == (
        "someone/model"
    )
    downloads = len(hub.downloads)
    main(["import", "--source=someone/model", f"--output={tmp_path / 'cached'}"])
    assert len(hub.downloads) == downloads  # the cache served it
    assert AutoTokenizer.from_pretrained(again / "model").bos_token_id == 1


def test_interrupted_push_goes_on_where_it_stopped(source, workdir, hub, tmp_path, capsys):
    out = tmp_path / "out"
    main(["export", f"--checkpoint={workdir}", f"--output={out}", "--shard_gigabytes=0.0002"])
    shards = len(list(out.glob("*.safetensors")))
    assert shards >= 6
    hub.fail_after = 2
    push = ["push", f"--directory={out}", "--repo_id=someone/model"]
    assert "someone/model: the hub answered 403" in failure(capsys, push)
    assert len(hub.uploads) == 2 and hub.files("someone/model") == {}
    hub.fail_after = None
    assert main(push) == 0
    assert len(hub.uploads) == shards == len(set(hub.uploads))  # none was sent twice
    assert hub.files("someone/model") == {p.name: p.read_bytes() for p in out.iterdir()}


def test_mistakes_end_in_one_line(source, workdir, hub, tmp_path, capsys, monkeypatch):
    output = f"--output={tmp_path / 'new'}"
    assert "someone/nothing: no such repository" in failure(
        capsys, ["import", "--source=someone/nothing", output]
    )
    assert "no such directory, nor a hub id" in failure(
        capsys, ["import", f"--source={tmp_path}/nowhere", output]
    )
    assert "already exists and is not empty" in failure(
        capsys, ["import", f"--source={source}", f"--output={workdir}"]
    )
    assert "neither a workdir" in failure(capsys, ["export", f"--checkpoint={tmp_path}", output])
    assert "expected owner/name" in failure(
        capsys, ["push", f"--directory={source}", "--repo_id=nobody"]
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "not in the local cache" in failure(
        capsys, ["import", "--source=someone/uncached", output]
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    assert "set HF_TOKEN" in failure(
        capsys, ["push", f"--directory={source}", "--repo_id=someone/model"]
    )
    assert "--checkpoint" in failure(capsys, ["export", "--output=x"])
    assert not (tmp_path / "new").exists() and not (tmp_path / ".new.semcoder-partial").exists()
