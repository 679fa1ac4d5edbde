"""Tests that adapters over a quantized base train equally on 1 and 8 devices, with any mesh.

Runs in its own process (`python FILE FOLDER`), because JAX fixes the number of simulated devices
when it starts.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.compiling import QUICK
from tests.support.simulated_devices import MESHES, batch_of, measure_on_devices

STEPS = 3


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return measure_on_devices(8, __file__, str(tmp_path_factory.mktemp("lora")), flags=QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("mesh", ["fsdp", "mixed", "mixed, 4 microbatches"])
def test_losses_and_gradients_do_not_depend_on_the_mesh(measured, mesh):
    one, many = measured["one"], measured[mesh]
    np.testing.assert_allclose(many["loss"], one["loss"], rtol=1e-5)
    np.testing.assert_allclose(many["gradient_norm"], one["gradient_norm"], rtol=1e-4)
    assert many["loss"][0] > many["loss"][-1]
    assert many["checksum"] == one["checksum"]  # of the base: the same bits on any mesh


@pytest.mark.slow
def test_each_device_holds_its_part_of_base_and_adapters(measured):
    for name, parts in (("fsdp", 8), ("mixed", 4)):
        assert measured[name]["base_bytes"] < 1.15 * measured["one"]["base_bytes"] / parts, name
        # tensor splits only one of an adapter's two matrices.
        assert measured[name]["state_bytes"] < 1.6 * measured["one"]["state_bytes"] / parts, name


def measure(folder: Path) -> dict:
    import jax
    from flax import nnx

    from semcoder_jax import hf
    from semcoder_jax.config import parse_run
    from semcoder_jax.model import sharding
    from semcoder_jax.model.decoder import Decoder
    from tests.support.tiny_run import tiny_config, write_data

    data = write_data(folder / "data")
    tokenizer = hf.read_tokenizer(data / "tokenizer")
    config = tiny_config(data)
    config["model"] |= {"hidden_size": 512, "intermediate_size": 512, "num_kv_heads": 4}
    config["data"]["global_batch_size"] = 32
    architecture = parse_run(config).decoder_config(272)
    params = nnx.state(Decoder(architecture, rngs=nnx.Rngs(0)))
    base = hf.export(folder / "base", architecture, params, tokenizer, dtype="float32")
    config |= {"model": {"init_from": str(base)}, "lora": {"base": "nf4", "rank": 8}}

    devices = jax.devices()
    found = {}
    for name, shape in MESHES.items():
        if name == "data":
            continue
        mesh = sharding.make_mesh(shape, devices[:1] if name == "one" else devices)
        found[name] = run_steps(parse_run(config), architecture, mesh)
    config["train"]["accumulation_steps"] = 4
    found["mixed, 4 microbatches"] = run_steps(parse_run(config), architecture, mesh)
    return found


def run_steps(run, architecture, mesh) -> dict:
    import jax

    from semcoder_jax.checkpoints import checksum
    from semcoder_jax.model import sharding
    from semcoder_jax.training.state import TrainSetup, create_state
    from semcoder_jax.training.step import make_train_step

    setup = TrainSetup.of(run, architecture, run.train.num_steps, mesh)
    state = create_state(setup)
    frozen = setup.trainable.load_frozen(mesh)
    step = make_train_step(setup, run.train)
    record = {
        "base_bytes": bytes_on_first(frozen),
        "state_bytes": bytes_on_first(state),
        "checksum": checksum(frozen),
        "loss": [],
        "gradient_norm": [],
    }
    for _ in range(STEPS):
        with jax.transfer_guard("allow"):
            batch = sharding.put_batch(batch_of(0), mesh)
        with jax.transfer_guard("disallow"):
            state, metrics = step(state, frozen, batch)
        for name in ("loss", "gradient_norm"):
            record[name].append(float(jax.device_get(metrics[name])))
    return record


def bytes_on_first(tree) -> int:
    import jax

    return sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(tree))


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
