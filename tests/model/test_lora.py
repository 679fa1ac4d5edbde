"""Tests adapters over a frozen base: products, gradients, and training runs."""

import ast
import functools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import PartitionSpec as P

from semcoder_jax import hf
from semcoder_jax.checkpoints import BaseError, CheckpointError, abstract_model
from semcoder_jax.config import (
    LORA_BASES,
    Compute,
    ConfigError,
    LoRAConfig,
    parse_run,
)
from semcoder_jax.errors import UserError
from semcoder_jax.loading import load_adapters, load_base, load_model
from semcoder_jax.model import sharding
from semcoder_jax.model.decoder import Decoder
from semcoder_jax.model.lora import (
    attach_adapters,
    freeze,
    initial_adapters,
    merge_leaf,
)
from semcoder_jax.model.parameters import PARAMETERS
from semcoder_jax.model.quantization import quantize_params
from semcoder_jax.training import loop as training
from semcoder_jax.training.metrics import read_metrics
from semcoder_jax.training.step import batch_loss_sums
from tests.support.adapters import lora_config, randomize_adapters, read_losses
from tests.support.sections import data_of
from tests.support.tiny_decoder import tiny_decoder
from tests.support.tiny_run import tiny_config

CONFIG = tiny_decoder(hidden_size=64, num_layers=3, head_dim=16, initializer_range=0.2)


# Compiled once and run on little: optimizing them well would take longer than all the rest.
quick = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
frozen_as = quick(freeze, static_argnums=0)


@functools.cache
def decoder(**compute):
    graphdef, _ = nnx.split(abstract_model(CONFIG, Compute(**compute)))
    return graphdef, quick(lambda: nnx.to_pure_dict(nnx.state(Decoder(CONFIG, rngs=nnx.Rngs(0)))))()


@quick
def merged(whole: dict) -> dict:
    flat = flatten_dict(whole)
    return unflatten_dict({path: merge_leaf(path, flat[path], "float32") for path in flat})


def batch_of(B=2, T=12):
    tokens = jax.random.randint(jax.random.key(1), (B, T + 1), 0, CONFIG.vocab_size)
    return {
        "tokens": tokens[:, :-1],
        "targets": tokens[:, 1:],
        "positions": jnp.broadcast_to(jnp.arange(T), (B, T)),
        "segment_ids": jnp.ones((B, T), jnp.int32),
        "loss_mask": jnp.ones((B, T), bool),
        "kinds": jnp.ones((B, T), jnp.int32),
    }


@quick
def logits(params):
    batch = batch_of()
    model = nnx.merge(decoder()[0], params)
    return model(batch["tokens"], batch["positions"], batch["segment_ids"])


@pytest.mark.parametrize(
    "base", ["nf4", *(pytest.param(base, marks=pytest.mark.slow) for base in LORA_BASES[:3])]
)
def test_new_adapters_change_nothing_and_random_ones_as_if_merged(base):
    _, params = decoder()
    lora = LoRAConfig(rank=4, base=base)
    frozen = frozen_as(lora, params)
    adapters = initial_adapters(lora, frozen, 0)
    start = logits(attach_adapters(lora, adapters, frozen))
    # The scale of an int8 product may be multiplied in another order.
    np.testing.assert_allclose(start, logits(frozen), atol=1e-5 if base == "int8" else 0)
    whole = attach_adapters(lora, randomize_adapters(adapters), frozen)
    expected = logits(merged(whole))
    np.testing.assert_allclose(logits(whole), expected, atol=2e-4)
    assert jnp.abs(expected - start).max() > 0.1


@pytest.mark.parametrize(
    ("base", "remat"),
    [
        ("nf4", "nothing_saveable"),
        pytest.param("float32", "none", marks=pytest.mark.slow),
        pytest.param("int8", "none", marks=pytest.mark.slow),
    ],
)
def test_gradients_are_those_of_the_merged_weight_by_the_chain_rule(base, remat):
    """W = W0 + s a b: da = s (dW b^T), db = s (a^T dW), with dW by autodiff through plain dense
    weights, in NumPy and float64."""
    graphdef, params = decoder(remat=remat)
    lora = LoRAConfig(rank=4, alpha=6.0, base=base, rank_stabilized=True)
    frozen = frozen_as(lora, params)
    adapters = randomize_adapters(initial_adapters(lora, frozen, 0))
    loss = lambda params: batch_loss_sums(graphdef, params, batch_of())[0]  # noqa: E731
    found = quick(jax.grad(lambda adapters: loss(attach_adapters(lora, adapters, frozen))))(
        adapters
    )
    dense = flatten_dict(quick(jax.grad(loss))(merged(attach_adapters(lora, adapters, frozen))))
    assert lora.scaling == 3.0
    count = 0
    for block, weights in adapters["layers"].items():
        for name, arrays in weights.items():
            a_name, b_name = sorted(arrays)
            for layer in range(CONFIG.num_layers):
                a_IxR = np.asarray(arrays[a_name][layer], np.float64).reshape(-1, 4)
                b_RxO = np.asarray(arrays[b_name][layer], np.float64).reshape(4, -1)
                dW = np.asarray(dense["layers", block, name][layer], np.float64)
                dW_IxO = dW.reshape(len(a_IxR), -1)
                ours = found["layers"][block][name]
                for part, expected in (
                    (a_name, 3.0 * dW_IxO @ b_RxO.T),
                    (b_name, 3.0 * a_IxR.T @ dW_IxO),
                ):
                    got = np.asarray(ours[part][layer]).reshape(expected.shape)
                    np.testing.assert_allclose(got, expected, atol=2e-5 * np.abs(expected).max())
                    count += 1
    assert count == 7 * 2 * CONFIG.num_layers


@pytest.mark.parametrize("base", ["bfloat16", "int8", "nf4"])
def test_the_backward_pass_keeps_frozen_weights_as_they_are_stored(base):
    """Even where everything is kept: no wider copy of a layer's matrix is."""
    graphdef, params = decoder(remat="none")
    lora = LoRAConfig(rank=4, base=base)
    frozen = jax.eval_shape(functools.partial(freeze, lora), params)
    adapters = jax.eval_shape(functools.partial(initial_adapters, lora, seed=0), frozen)

    def kept(adapters, frozen):
        def loss(adapters):
            return batch_loss_sums(graphdef, attach_adapters(lora, adapters, frozen), batch_of())[0]

        return jax.vjp(loss, adapters)[1]

    matrices = {leaf.shape for leaf in jax.tree.leaves(params["layers"]) if leaf.ndim > 2}
    wider = [
        leaf
        for leaf in jax.tree.leaves(jax.eval_shape(kept, adapters, frozen))
        if leaf.shape in matrices and leaf.dtype == jnp.float32
    ]
    assert matrices and not wider


def test_where_everything_lies():
    _, params = decoder()
    lora = LoRAConfig(rank=8, base="nf4")
    frozen = jax.eval_shape(functools.partial(freeze, lora), params)
    spec = sharding.parameter_spec
    query = ("layers", "attention", "q_DxHxK")
    for part in ("codes", "block_scale", "channel_scale"):
        assert spec((*query, part)) == P(None, "fsdp", "tensor", None)
    assert spec((*query, "a_DxR")) == P(None, "fsdp", None)
    assert spec((*query, "b_RxHxK")) == P(None, "fsdp", "tensor", None)
    output = ("layers", "attention", "o_HxKxD")
    assert spec((*output, "a_HxKxR")) == P(None, "tensor", None, "fsdp")
    assert spec((*output, "b_RxD")) == P(None, None, "fsdp")
    mesh = sharding.make_mesh({}, jax.devices()[:1])
    for tree in (frozen, initial_adapters(lora, frozen, 0)):
        places = sharding.parameter_shardings(tree, mesh)
        for leaf, place in zip(jax.tree.leaves(tree), jax.tree.leaves(places), strict=True):
            assert len(place.spec) in (0, leaf.ndim)


# ==== Runs


@pytest.fixture(scope="module")
def base(data, tmp_path_factory):
    """An HF directory of random weights for the tokenizer of `data`."""
    tokenizer = hf.read_tokenizer(data / "tokenizer")
    config = parse_run(tiny_config(data)).decoder_config(hf.tokenizer_size(tokenizer))
    params = nnx.split(Decoder(config, rngs=nnx.Rngs(3)))[1]
    return hf.export(
        tmp_path_factory.mktemp("base") / "hf", config, params, tokenizer, dtype="float32"
    )


@pytest.fixture(scope="module")
def run(data, base, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("lora") / "run"
    training.train(lora_config(data, base, lora__base="nf4", train__eval_every=6), workdir)
    return workdir


def test_it_learns_and_saves_adapters_alone(run, data, base):
    found = read_losses(run)
    assert len(found) == 12 and found[-1] < found[0] - 0.2
    adapters = load_adapters(run)
    assert adapters.base == base
    names = {path[-1][:2] for path in flatten_dict(adapters.params)}
    assert names == {"a_", "b_"} and len(jax.tree.leaves(adapters.params)) == 14
    # Parameters and two moments of each; the base is in no item of the checkpoint.
    saved = sum(f.stat().st_size for f in (run / "checkpoints" / "12").rglob("*") if f.is_file())
    held = 3 * sum(leaf.nbytes for leaf in jax.tree.leaves(adapters.params))
    assert held < saved < 3 * 4 * hf.parameter_count(hf.read_config(base)) / 2
    for item in ("params", "optimizer"):
        tree = json.loads((run / "checkpoints" / "12" / item / "_METADATA").read_text())
        names = [ast.literal_eval(path)[-1] for path in tree["tree_metadata"]]
        assert sum(name[:2] in ("a_", "b_") for name in names) == (14 if item == "params" else 28)
        assert not {parameter.path[-1] for parameter in PARAMETERS} & set(names), names


def test_loaded_it_is_the_base_changed_by_matrices_of_the_rank(run, base):
    """The base as quantized; embeddings and norms as they were (in bfloat16)."""
    lora = LoRAConfig(rank=4, base="nf4")
    mesh = sharding.make_mesh({}, jax.devices()[:1])
    before = flatten_dict(merged(load_base(lora, base, mesh)))
    after = flatten_dict(nnx.to_pure_dict(load_model(run).params))
    original = flatten_dict(nnx.to_pure_dict(load_model(base).params))
    assert before.keys() == after.keys()
    for path, weight in after.items():
        change = np.asarray(weight - before[path], np.float64)
        if path[0] == "layers" and path[-1] != "scale":
            inputs = {"o_HxKxD": 2}.get(path[-1], 1)
            for layer in change:
                matrix = layer.reshape(np.prod(layer.shape[:inputs]), -1)
                values = np.linalg.svd(matrix, compute_uv=False)
                assert values[3] > 1e-4 and values[4] < 1e-5 * values[0], path
        else:
            assert not change.any(), path
            np.testing.assert_allclose(weight, original[path], rtol=2**-8)


def test_the_loaded_model_has_the_loss_that_training_told(run, data, base):
    """Of the held-out records, by an ordinary evaluation of the merged parameters."""
    told = [row["eval_loss"] for row in read_metrics(run / "metrics.jsonl") if "eval_loss" in row]
    model = load_model(run)
    opened = data_of(parse_run(lora_config(data, base)), run)
    total = weight = 0.0
    loss_of = quick(functools.partial(batch_loss_sums, model.graphdef))
    for batch in opened.eval.iterator():
        batch = jax.tree.map(jnp.asarray, batch)
        loss, sums = loss_of(nnx.to_pure_dict(model.params), batch)
        total, weight = total + float(loss), weight + float(sums.weight)
    opened.train.close()
    assert total / weight == pytest.approx(told[-1], rel=1e-5)


@pytest.mark.slow
def test_resuming_changes_no_bit(run, data, base, tmp_path):
    config = lora_config(data, base, lora__base="nf4", train__eval_every=6)
    training.train(config | {"train": config["train"] | {"stop_after_step": 7}}, tmp_path / "run")
    assert len(read_losses(tmp_path / "run")) == 7
    training.train(config, tmp_path / "run")
    assert read_losses(tmp_path / "run") == read_losses(run)
    ours, theirs = load_adapters(tmp_path / "run").params, load_adapters(run).params
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.slow
def test_it_is_served_from_int8_as_any_model_is(run):
    found, expected = load_model(run, quantize=True), quantize_params(load_model(run).params)
    jax.tree.map(np.testing.assert_array_equal, found.params, expected)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(found.params)} == {"int8", "float32"}


@pytest.fixture
def other_base(base):
    """`base` with other weights under the same path, while the test lasts."""
    kept = base.with_name("kept")
    base.rename(kept)
    config, tokenizer = hf.read_config(kept), hf.read_tokenizer(kept)
    params = nnx.state(Decoder(config, rngs=nnx.Rngs(4)))
    yield hf.export(base, config, params, tokenizer, dtype="float32")
    shutil.rmtree(base, ignore_errors=True)
    kept.rename(base)


MISMATCH = r"hf: not the weights that the saved adapters were trained over \(checksum .* expected"


def test_adapters_are_merged_into_no_other_base(run, other_base):
    with pytest.raises(BaseError, match=MISMATCH):
        load_model(run)
    shutil.rmtree(other_base)
    with pytest.raises(CheckpointError, match=r"hf: no such directory"):
        load_model(run)


@pytest.mark.slow
def test_a_run_goes_on_over_no_other_base(run, data, other_base, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "12")  # as if stopped before the last step
    with pytest.raises(BaseError, match=MISMATCH):
        training.train(lora_config(data, other_base, lora__base="nf4"), tmp_path / "run")
    assert issubclass(BaseError, UserError)  # told in one line
    assert not list((tmp_path / "run" / "checkpoints").glob("*.damaged"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lora__bse": 1}, "unknown field lora.bse; did you mean base?"),
        ({"lora__base": "nf5"}, "lora.base 'nf5': did you mean nf4?"),
        ({"lora__targets": ["q_porj"]}, "lora.targets 'q_porj': did you mean q_proj?"),
        ({"lora__targets": []}, "lora.targets is empty, expected some of q_proj"),
        ({"lora__rank": 0}, "lora.rank is 0, expected at least 1"),
        ({"lora__alpha": 0}, "lora.alpha is 0, expected more than 0"),
        ({"optimizer__name": "muon"}, "optimizer.name 'muon': lora trains adapters by adamw"),
    ],
)
def test_settings_that_make_no_sense(data, base, changes, message):
    config = tiny_config(data, lora__rank=4)
    config["model"] = {"init_from": str(base)}
    for name, value in changes.items():
        section, field = name.split("__")
        config[section][field] = value
    with pytest.raises(ConfigError) as error:
        parse_run(config)
    assert str(error.value).startswith(f"config: {message}")


def test_adapters_need_a_base(data):
    with pytest.raises(ConfigError, match=r"config: lora needs model\.init_from"):
        parse_run(tiny_config(data, lora__rank=4))
