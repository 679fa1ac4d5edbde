"""Tests import of weights: byte-identical round trips, all file layouts, one line per mistake."""

import json
import shutil

import jax
import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from semcoder_jax import hf
from semcoder_jax.hf.shards import ShardReader, ShardWriter, plan_shards
from semcoder_jax.model.sharding import make_mesh
from tests.support.random_llama import DEEPSEEK, GROUPED, random_llama


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A random grouped-query model in one float32 file."""
    directory = tmp_path_factory.mktemp("source")
    random_llama(directory, GROUPED | {"vocab_size": 512})
    return directory


@pytest.fixture
def broken(source, tmp_path):
    """A copy of `source` to damage."""
    return shutil.copytree(source, tmp_path / "broken")


def change_tensors(directory, change) -> None:
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors")


def all_tensors(directory) -> dict[str, np.ndarray]:
    shards = ShardReader(directory)
    return {name: shards.read(name) for name in shards.shapes}


def assert_same_bytes(directory, other) -> None:
    ours, theirs = all_tensors(directory), all_tensors(other)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype
        assert tensor.tobytes() == theirs[name].tobytes(), name


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_round_trip_is_byte_identical(tmp_path, small_tokenizer, dtype, tied):
    """Of every bit pattern a float can have that is a number, denormals and infinities too."""
    name = np.dtype(dtype).name
    random_llama(tmp_path / "a", DEEPSEEK | {"vocab_size": 512, "tie_word_embeddings": tied})
    rng = np.random.default_rng(0)

    def replace(tensors):
        for key, tensor in tensors.items():
            bits = rng.integers(0, 256, (*tensor.shape, np.dtype(dtype).itemsize), np.uint8)
            values = bits.view(dtype)[..., 0]
            tensors[key] = np.where(np.isnan(values.astype(np.float32)), dtype(1), values)

    change_tensors(tmp_path / "a", replace)
    config, params = hf.load(tmp_path / "a", dtype=name)
    hf.export(tmp_path / "b", config, params, small_tokenizer, dtype=name, shard_bytes=100_000)
    assert len(list((tmp_path / "b").glob("*.safetensors"))) > 3
    assert_same_bytes(tmp_path / "a", tmp_path / "b")


def test_sharded_and_pickled_files_equal_one_file(tmp_path, source, small_tokenizer):
    config, params = hf.load(source)
    index = tmp_path / "index"
    hf.export(index, config, params, small_tokenizer, dtype="float32", shard_bytes=200_000)
    pickled = shutil.copytree(source, tmp_path / "pickled")
    (pickled / "model.safetensors").unlink()
    tensors = {name: torch.tensor(array) for name, array in all_tensors(source).items()}
    constant = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}  # as old exports
    torch.save(tensors | constant, pickled / "pytorch_model.bin")
    for directory in (index, pickled):
        _, again = hf.load(directory)
        jax.tree.map(np.testing.assert_array_equal, again, params)


def test_export_index_is_read_by_safetensors_and_covers_all(tmp_path, source, small_tokenizer):
    config, params = hf.load(source)
    out = hf.export(tmp_path / "out", config, params, small_tokenizer, shard_bytes=100_000)
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 2 * hf.parameter_count(config)
    sizes = {}
    for path in out.glob("*.safetensors"):
        tensors = load_file(path)  # the library checks header, offsets and length
        assert {index["weight_map"][name] for name in tensors} == {path.name}
        sizes[path.name] = sum(tensor.nbytes for tensor in tensors.values())
    assert max(sizes.values()) <= 100_000 and set(index["weight_map"].values()) == set(sizes)


def test_shards_hold_five_gigabytes_by_default():
    shapes = {f"t{i}": (1000, 1000, 1000) for i in range(6)}
    assert [len(names) for names in plan_shards(shapes, 2, 5_000_000_000).values()] == [2, 2, 2]


def test_dtype_is_cast_to_nearest(source):
    _, exact = hf.load(source)
    _, rounded = hf.load(source, dtype="bfloat16")

    def check(ours, theirs):
        expected = torch.tensor(np.asarray(ours)).bfloat16().float().numpy()
        np.testing.assert_array_equal(np.asarray(theirs).astype(np.float32), expected)

    jax.tree.map(check, exact, rounded)


def test_mesh_of_one_device(source):
    mesh = make_mesh({"fsdp": 1}, jax.devices()[:1])
    _, params = hf.load(source, mesh=mesh)
    _, plain = hf.load(source)
    jax.tree.map(np.testing.assert_array_equal, params, plain)
    assert all(leaf.sharding.mesh == mesh for leaf in jax.tree.leaves(params))


def test_all_misfits_are_listed_at_once(broken):
    def damage(tensors):
        del tensors["model.norm.weight"]
        tensors["extra.weight"] = np.ones(3, np.float32)
        name = "model.layers.1.mlp.up_proj.weight"
        tensors[name] = np.ascontiguousarray(tensors[name][:-1])

    change_tensors(broken, damage)
    with pytest.raises(hf.HFError) as error:
        hf.load(broken)
    message = str(error.value)
    assert "3 tensors do not fit" in message and "\n" not in message
    assert "missing model.norm.weight [64]" in message
    assert "unexpected extra.weight [3]" in message
    assert "up_proj.weight has shape [171, 64], expected [172, 64]" in message


def test_truncated_shard(broken):
    path = broken / "model.safetensors"
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 1000)
    with pytest.raises(hf.HFError, match=r"model\.safetensors: truncated"):
        hf.load(broken)


def test_missing_shards_are_named(tmp_path, source, small_tokenizer):
    config, params = hf.load(source)
    out = hf.export(tmp_path / "out", config, params, small_tokenizer, shard_bytes=100_000)
    gone = sorted(out.glob("*.safetensors"))[1:3]
    for path in gone:
        path.unlink()
    with pytest.raises(hf.HFError, match=r"2 of .* shards .* are missing") as error:
        hf.load(out)
    assert all(path.name in str(error.value) for path in gone)


def test_index_that_lies(tmp_path, source, small_tokenizer):
    config, params = hf.load(source)
    out = hf.export(tmp_path / "out", config, params, small_tokenizer, shard_bytes=100_000)
    path = out / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    files = sorted(set(index["weight_map"].values()))
    index["weight_map"]["model.norm.weight"] = files[0]
    path.write_text(json.dumps(index))
    with pytest.raises(hf.HFError, match=r"model\.norm\.weight is not in model-00001"):
        hf.load(out)
    index["weight_map"]["model.norm.weight"] = "../elsewhere.safetensors"
    path.write_text(json.dumps(index))
    with pytest.raises(hf.HFError, match="expected a file name"):
        hf.load(out)


def test_no_weights_and_integer_weights(broken):
    change_tensors(broken, lambda t: t.update({"model.norm.weight": np.ones(64, np.int32)}))
    with pytest.raises(hf.HFError, match=r"model\.norm\.weight has dtype I32"):
        hf.load(broken)
    (broken / "model.safetensors").unlink()
    with pytest.raises(hf.HFError, match="no weights"):
        hf.load(broken)


def test_vocabulary_smaller_than_the_tokenizer(tmp_path, small_tokenizer):
    random_llama(tmp_path / "small", DEEPSEEK | {"vocab_size": 500})
    config, params = hf.load(tmp_path / "small")
    with pytest.raises(hf.HFError, match="512 tokens, the model only 500 vocabulary rows"):
        hf.export(tmp_path / "out", config, params, small_tokenizer)
    assert not (tmp_path / "out").exists() and not (tmp_path / ".out.semcoder-partial").exists()


def test_full_disk_before_and_during_writing(tmp_path, source, small_tokenizer, monkeypatch):
    config, params = hf.load(source)
    free = shutil.disk_usage(tmp_path)._replace(free=1000)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: free)
        with pytest.raises(hf.HFError, match=r"the disk has 0\.00 GB"):
            hf.export(tmp_path / "out", config, params, small_tokenizer)
    writer = ShardWriter(tmp_path, {"a": (4096, 16)}, "float32")
    (tmp_path / "model.safetensors").symlink_to("/dev/full")  # every write: no space left
    with pytest.raises(hf.HFError, match="No space left on device"):
        writer.write("a", np.ones((4096, 16), np.float32))
    assert not (tmp_path / "out").exists() and not (tmp_path / ".out.semcoder-partial").exists()


def test_export_that_dies_leaves_nothing_whole(tmp_path, source, small_tokenizer, monkeypatch):
    config, params = hf.load(source)
    write, written = ShardWriter.write, []

    def die_later(self, name, tensor):
        if len(written) == 20:
            assert not (tmp_path / "out").exists()
            assert not (tmp_path / ".out.semcoder-partial" / "config.json").exists()
            raise KeyboardInterrupt
        written.append(name)
        write(self, name, tensor)

    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "write", die_later)
        with pytest.raises(KeyboardInterrupt):
            hf.export(tmp_path / "out", config, params, small_tokenizer)
    assert list(tmp_path.iterdir()) == []
    hf.export(tmp_path / "out", config, params, small_tokenizer, dtype="float32")
    assert_same_bytes(tmp_path / "out", source)
    with pytest.raises(hf.HFError, match="not empty"):
        hf.export(tmp_path / "out", config, params, small_tokenizer)
    hf.export(tmp_path / "out", config, params, small_tokenizer, dtype="bfloat16", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    # A training workdir has a config, too.
    (tmp_path / "workdir" / "checkpoints").mkdir(parents=True)
    (tmp_path / "workdir" / "config.json").write_text("{}")
    with pytest.raises(hf.HFError, match="holds no model and is therefore not overwritten"):
        hf.export(tmp_path / "workdir", config, params, small_tokenizer, overwrite=True)
    assert {path.name for path in (tmp_path / "workdir").iterdir()} == {
        "checkpoints",
        "config.json",
    }
