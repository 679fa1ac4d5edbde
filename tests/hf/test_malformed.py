"""Feeds generated nonsense to every reader of a model directory.

Each is either read or refused by one line that names the file; no other exception, and no memory
taken for what a few bytes claim.
"""

import json
import resource
import shutil
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from semcoder_jax import hf
from semcoder_jax.config import DecoderConfig, LoRAConfig
from semcoder_jax.errors import HFError, UserError
from semcoder_jax.evaluation.store import GenerationStore, read_store
from semcoder_jax.hf.adapter import read_adapter
from semcoder_jax.hf.config import decoder_config, read_json
from semcoder_jax.hf.shards import ShardReader, stored_dtype

NUMBERS = st.one_of(
    st.sampled_from([0, -1, 1, 2, 3, 7, 64, 10**9, 10**30, 1e-320, 1e300, 0.5, -0.0, True, False]),
    st.integers(),
    st.floats(allow_nan=True, allow_infinity=True),
)
SCALARS = st.one_of(st.none(), NUMBERS, st.text(max_size=12), st.sampled_from(["linear", "yes"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["type", "rope_type", "factor", "rope_theta", "x"]), inner, max_size=3
        ),
    ),
    max_leaves=6,
)
SETTINGS = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refusal(read) -> str:
    """Returns the message of the one permitted exception; "" if nothing was raised."""
    try:
        read()
    except UserError as error:
        message = str(error)
        assert message and "\n" not in message and len(message) < 1500, message
        return message
    return ""


@pytest.fixture(scope="module")
def fields(small_model):
    return json.loads((small_model / "config.json").read_text())


@pytest.fixture
def model(small_model, tmp_path):
    shutil.copytree(small_model, tmp_path / "model")
    return tmp_path / "model"


@SETTINGS
@given(data=st.data())
def test_any_value_of_any_field_of_a_config(fields, data):
    names = st.sampled_from([*sorted(fields), "rope_scaling", "rope_parameters", "head_dim"])
    changed = fields | data.draw(st.dictionaries(names, VALUES, min_size=1, max_size=3))
    if not refusal(lambda: decoder_config(changed, "config.json")):
        config = decoder_config(changed, "config.json")
        assert isinstance(config, DecoderConfig) and isinstance(config.tie_embeddings, bool)
        numbers = config.rope_theta, config.rope_scaling_factor, config.rms_norm_eps
        assert all(0 < number < 1e13 for number in numbers)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rope_scaling": "linear"}, "rope_scaling='linear', expected an object or null"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings='yes', expected true or false"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings=1, expected true or false"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps=nan, expected a positive number"),
        ({"rope_theta": float("inf"), "rope_parameters": None}, "rope_theta=inf, expected"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers=1000000000, expected at most 10,000"),
        ({"hidden_size": 2**40}, "hidden_size=1099511627776, expected at most"),
        (
            {"architectures": "LlamaForCausalLM"},
            "architectures='LlamaForCausalLM', expected a list",
        ),
        ({"architectures": [3]}, "architecture 3 (model_type 'llama') is not supported"),
        ({"initializer_range": "small"}, "initializer_range='small', expected a positive number"),
    ],
)
def test_wrong_types_and_sizes_are_named(model, fields, change, words):
    (model / "config.json").write_text(json.dumps(fields | change))
    message = refusal(lambda: hf.load(model))
    assert words in message and message.startswith(f"{model}/config.json: ")


FILES = {
    "nothing": b"",
    "deep": b'{"a":' * 100_000,
    "no UTF-8": b'{"a": "\xff"}',
    "a list": b"[]",
    "a long number": b'{"vocab_size": ' + b"9" * 10_000 + b"}",
    "half": b'{"hidden_size": 64, "voc',
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_json_files_of_a_directory(model, content):
    """config.json, the index and generation_config.json are refused; a config of an adapter too."""
    readers = {
        "config.json": lambda: hf.load(model),
        "model.safetensors.index.json": lambda: ShardReader(model),
        "adapter_config.json": lambda: read_adapter(model, TINY, LoRAConfig()),
        "generation_config.json": lambda: read_json(model / "generation_config.json"),
    }
    for name, read in readers.items():
        path = model / name
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(content)
        assert refusal(read).startswith(f"{path}: "), name
        path.unlink() if before is None else path.write_bytes(before)
    path = model / "config.json"
    path.write_bytes(content)
    assert refusal(lambda: stored_dtype(model)).startswith(f"{path}: ")


TINY = DecoderConfig(320, 64, 172, 1, 4, 2, 16, 64)


def test_a_huge_file_is_not_read(model):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open(model / "config.json", "r+b") as file:
        file.truncate(8 << 30)  # a hole: no disk is used
    assert "8,589,934,592 bytes, expected at most" in refusal(lambda: hf.read_config(model))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@SETTINGS
@given(data=st.data())
def test_any_header_of_safetensors(small_model, tmp_path_factory, data):
    """The length, the header's JSON or the bytes behind it are replaced or cut."""
    content = (small_model / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    name = data.draw(st.sampled_from(sorted(header)))
    kind = data.draw(st.sampled_from(["length", "header", "cut", "noise"]))
    if kind == "length":
        changed = struct.pack("<Q", data.draw(st.integers(0, 2**64 - 1))) + content[8:]
    elif kind == "header":
        header[name] = data.draw(
            st.one_of(
                VALUES,
                st.fixed_dictionaries(
                    {"dtype": st.sampled_from(["F32", "I64", "BOOL", "F99", 3]), "shape": VALUES,
                     "data_offsets": VALUES}
                ),
            )
        )  # fmt: skip
        text = json.dumps(header).encode()
        changed = struct.pack("<Q", len(text)) + text + content[8 + size :]
    elif kind == "cut":
        changed = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        changed = data.draw(st.binary(max_size=64)) + content[64:]
    directory = tmp_path_factory.mktemp("header")
    for path in small_model.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    (directory / "model.safetensors").write_bytes(changed)
    message = refusal(lambda: hf.load(directory))
    assert not message or message.startswith(str(directory))
    shutil.rmtree(directory)


@pytest.mark.parametrize("share", ["one", "all"])
def test_weights_that_are_no_numbers(model, share):
    path = model / "model.safetensors"
    tensors = load_file(path)
    name = "model.layers.3.mlp.up_proj.weight"
    tensors[name][(1, 2) if share == "one" else ...] = np.nan
    save_file(tensors, path)
    message = refusal(lambda: hf.load(model))
    assert message == (
        f"{model}: model.layers.*.mlp.up_proj.weight holds values that are no numbers (NaN)"
    )


def test_pickled_files_that_hold_no_tensors(model):
    torch = pytest.importorskip("torch", reason="needs torch")
    tensors = {name: torch.tensor(value) for name, value in
               load_file(model / "model.safetensors").items()}  # fmt: skip
    (model / "model.safetensors").unlink()
    path = model / "pytorch_model.bin"
    torch.save(tensors, path)
    hf.load(model)  # it would be read
    some = next(iter(tensors))
    contents = {
        "a list": list(tensors.values()),
        "a number": 3,
        "a tensor": tensors[some],
        "a number among tensors": tensors | {some: 3},
        "tensors in a dict": {"state_dict": tensors},
        "numbered": {1: tensors[some]},
        "integers": tensors | {some: tensors[some].to(torch.int64)},
        "sparse": tensors | {some: tensors[some].to_sparse()},
        "elsewhere": tensors | {some: tensors[some].to("meta")},
    }
    for name, content in contents.items():
        torch.save(content, path)
        assert str(model) in refusal(lambda: hf.load(model)), name
    path.write_bytes(b"\x80\x04K\x01.")  # a pickle that is no archive
    assert refusal(lambda: hf.load(model)).startswith(f"{path}: ")


@SETTINGS
@given(
    content=st.one_of(st.binary(max_size=200), VALUES.map(lambda value: json.dumps(value).encode()))
)
def test_any_tokenizer(small_model, tmp_path_factory, content):
    directory = tmp_path_factory.mktemp("tokenizer")
    (directory / "tokenizer.json").write_bytes(content)
    assert refusal(lambda: hf.read_tokenizer(directory)).startswith(str(directory))
    shutil.rmtree(directory)


@SETTINGS
@given(
    rows=st.lists(
        st.dictionaries(st.sampled_from(["id", "row", "run", "text"]), VALUES, max_size=3),
        max_size=3,
    )
)
def test_any_rows_of_a_store(tmp_path_factory, rows):
    """They are read or refused with file and line; what is refused stays as it was."""
    path = tmp_path_factory.mktemp("store") / "store.jsonl"
    content = "".join(json.dumps(row) + "\n" for row in [{"run": {}}, *rows]).encode()
    path.write_bytes(content)
    message = refusal(lambda: read_store(path))
    assert message.startswith(str(path)) or not message
    with_store = refusal(lambda: GenerationStore(path, {}).close())
    assert bool(with_store) == bool(message) and path.read_bytes() == content
    if not message:
        assert all(isinstance(name, str) for name in read_store(path)[1])


def test_errors_are_of_one_family():
    assert issubclass(HFError, UserError)
