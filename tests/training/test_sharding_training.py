"""Tests that training is equal on 1 and on 8 simulated devices, with any mesh.

Runs in its own process (`python FILE`), because JAX fixes the number of simulated devices when it
starts.
"""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from semcoder_jax.model.remat import POLICIES
from tests.support.compiling import QUICK
from tests.support.simulated_devices import MESHES, batch_of, long_batch_of, measure_on_devices

STEPS = 3


MICROBATCHES = 4
ACCUMULATED = ("mixed", "two slices")
LONG = ("one", "fsdp", "mixed")  # rows whose attention goes by blocks
ADAPTED = ("float32", "nf4")


@pytest.fixture(scope="module")
def measured():
    return measure_on_devices(8, __file__, flags=QUICK)


@pytest.mark.slow
@pytest.mark.parametrize(
    "mesh",
    [
        *(name for name in MESHES if name != "one"),
        *(f"{name}, {MICROBATCHES}" for name in ACCUMULATED),
    ],
)
def test_losses_and_gradients_do_not_depend_on_the_mesh(measured, mesh):
    """To rounding: sums over devices are taken in another order."""
    one, many = measured["runs"]["one"], measured["runs"][mesh]
    np.testing.assert_allclose(many["loss"], one["loss"], rtol=1e-5)
    np.testing.assert_allclose(many["gradient_norm"], one["gradient_norm"], rtol=1e-4)
    assert many["target_tokens"] == one["target_tokens"]


@pytest.mark.slow
@pytest.mark.parametrize("mesh", LONG[1:])
def test_attention_in_blocks_does_not_depend_on_the_mesh(measured, mesh):
    one, many = measured["long"]["one"], measured["long"][mesh]
    np.testing.assert_allclose(many["loss"], one["loss"], rtol=1e-5)
    np.testing.assert_allclose(many["gradient_norm"], one["gradient_norm"], rtol=1e-4)


@pytest.mark.slow
def test_initial_parameters_do_not_depend_on_the_mesh(measured):
    sums = {name: run["initial_sum"] for name, run in measured["runs"].items()}
    assert all(value == pytest.approx(sums["one"], rel=1e-5) for value in sums.values()), sums


@pytest.mark.slow
def test_no_device_ever_holds_the_whole_state(measured):
    """Bytes of parameters and moments on a device, and what initialization needs there."""
    for name, parts in (("fsdp", 8), ("mixed", 4)):
        run = measured["runs"][name]
        whole = measured["runs"]["one"]["state_bytes"]
        assert run["state_bytes"] < 1.1 * whole / parts, name
        assert run["initialization_bytes"] < 0.5 * whole, name


@pytest.mark.slow
@pytest.mark.parametrize("base", ADAPTED)
def test_adapters_learn_the_same_over_a_split_base(measured, base):
    one, many = measured["adapters"][base]
    np.testing.assert_allclose(many["loss"], one["loss"], rtol=1e-5)
    # Adapters' gradients are small sums of great parts: rounding is a greater part of them.
    np.testing.assert_allclose(many["gradient_norm"], one["gradient_norm"], rtol=3e-4)
    assert min(one["gradient_norm"]) > 1e-3 and len(set(one["loss"])) == STEPS


@pytest.mark.slow
def test_weights_are_gathered_twice_and_gradients_reduced_once_whatever_is_kept(measured):
    """In the program as written, before any compiler: 7 matrices of a layer, whose loop is written
    once forward and once backward, and two others."""
    assert set(measured["exchanges"].values()) == {"16 gathers, 9 reduce-scatters"}
    assert len(measured["exchanges"]) == 2 * len(POLICIES)


@pytest.mark.slow
def test_each_device_along_data_orthogonalizes_its_own_layers(measured):
    """The updates are those of one device, for half the work each."""
    alone, shared = measured["muon"]
    assert 0.45 * alone["flops"] < shared["flops"] < 0.55 * alone["flops"]
    np.testing.assert_allclose(shared["updates"], alone["updates"], rtol=1e-5)


@pytest.mark.slow
def test_a_checkpoint_of_one_mesh_is_restored_onto_another(measured):
    assert measured["restored_equal"]
    assert measured["restored_spec"] == "P(None, 'fsdp', 'tensor', None)"


def measure() -> dict:
    """Everything that the tests above look at."""
    import tempfile

    import jax

    from semcoder_jax.model import sharding

    devices = jax.devices()
    runs, long = {}, {}
    # Two slices of four devices, which do not lie in the order of their numbers.
    order = {"one": devices[:1], "two slices": devices[::2] + devices[1::2]}
    for name, shape in MESHES.items():
        mesh = sharding.make_mesh(shape, order.get(name, devices))
        runs[name], state = run_steps(mesh, 1)
        if name in LONG:
            long[name], _ = run_steps(mesh, 1, long_batch_of)
        if name in ACCUMULATED:
            runs[f"{name}, {MICROBATCHES}"], _ = run_steps(mesh, MICROBATCHES)
        if name == "fsdp":
            fsdp_state = state
    with tempfile.TemporaryDirectory() as directory:
        restored = restore_elsewhere(fsdp_state, sharding.make_mesh(MESHES["mixed"]), directory)
    equal = jax.tree.map(
        lambda a, b: np.array_equal(np.asarray(a), np.asarray(b)), restored, fsdp_state
    )
    query = restored.params["layers"]["attention"]["q_DxHxK"]
    return {
        "runs": runs,
        "long": long,
        "adapters": {
            base: [
                adapter_steps(MESHES["one"], devices[:1], base),
                adapter_steps(MESHES["mixed"], devices, base),
            ]
            for base in ADAPTED
        },
        "exchanges": {
            f"{name}, {policy}": exchanges_written(sharding.make_mesh(MESHES[name]), policy)
            for name in ("fsdp", "tensor")
            for policy in POLICIES
        },
        "muon": [
            orthogonalize(mesh) for mesh in (None, sharding.make_mesh({"data": 2}, devices[:2]))
        ],
        "restored_equal": bool(jax.tree.all(equal)),
        "restored_spec": str(query.sharding.spec).replace("PartitionSpec", "P"),
    }


def setting(accumulation_steps: int):
    from semcoder_jax.config import parse_run
    from tests.support.tiny_run import tiny_config

    config = tiny_config(Path("unused"), train__accumulation_steps=accumulation_steps)
    config["model"] |= {"hidden_size": 64, "intermediate_size": 128, "num_kv_heads": 4}
    config["model"]["qkv_bias"] = True
    config["data"]["global_batch_size"] = 32
    config["optimizer"]["name"] = "muon"
    run = parse_run(config)
    return run, run.decoder_config(256)


def run_steps(mesh, accumulation_steps: int, batch_of=batch_of):
    import jax

    from semcoder_jax.model import sharding
    from semcoder_jax.training.state import TrainSetup, initial_state
    from semcoder_jax.training.step import make_train_step

    run, decoder_config = setting(accumulation_steps)
    setup = TrainSetup.of(run, decoder_config, run.train.num_steps, mesh)
    initialize = functools.partial(initial_state, setup.trainable, setup.optimizer)
    compiled = jax.jit(initialize, out_shardings=setup.shardings).lower().compile()
    memory = compiled.memory_analysis()
    state = compiled()
    device = mesh.devices.flat[0]
    local = [
        shard.data.nbytes
        for leaf in jax.tree.leaves(state)
        for shard in leaf.addressable_shards
        if shard.device == device
    ]
    record = {
        "initial_sum": float(
            sum(np.abs(np.asarray(x)).sum() for x in jax.tree.leaves(state.params))
        ),
        "state_bytes": sum(local),
        "initialization_bytes": memory.temp_size_in_bytes,
    }
    step = make_train_step(setup, run.train)
    rows = []
    for number in range(STEPS):
        batch = sharding.put_batch(batch_of(number), mesh)
        with jax.transfer_guard("disallow"):
            state, metrics = step(state, {}, batch)
        rows.append(jax.device_get(metrics))
    for name in ("loss", "gradient_norm", "target_tokens"):
        record[name] = [float(row[name]) for row in rows]
    return record, state


def orthogonalize(mesh) -> dict:
    """The work of each of two devices for an update by Muon, and the update's sums."""
    import jax

    from semcoder_jax.config import OptimizerConfig
    from semcoder_jax.model import sharding
    from semcoder_jax.training.optimizer import make_optimizer

    random = np.random.default_rng(0)
    shapes = {"q_DxHxK": (4, 32, 4, 8), "o_HxKxD": (4, 4, 8, 32)}
    gradients = {
        "layers": {"attention": {name: random.normal(size=shape) for name, shape in shapes.items()}}
    }
    optimizer = make_optimizer(OptimizerConfig(name="muon"), 10, mesh)
    arguments = (gradients, optimizer.init(gradients), gradients)
    two = sharding.make_mesh({"data": 2}, jax.devices()[:2])
    arguments = jax.device_put(arguments, sharding.replicated_sharding(two))
    compiled = jax.jit(optimizer.update).lower(*arguments).compile()
    updates, _ = compiled(*arguments)
    sums = [float(np.abs(np.asarray(x)).sum()) for x in jax.tree.leaves(updates)]
    return {"flops": compiled.cost_analysis()["flops"], "updates": sums}


def exchanges_written(mesh, policy: str) -> str:
    """How often the lowered step gathers and reduces weights."""
    import dataclasses

    import jax

    from semcoder_jax.model import sharding
    from semcoder_jax.training.state import TrainSetup
    from semcoder_jax.training.step import make_train_step

    run, decoder_config = setting(1)
    run = dataclasses.replace(run, compute=dataclasses.replace(run.compute, remat=policy))
    setup = TrainSetup.of(run, decoder_config, 10, mesh)
    step = make_train_step(setup, run.train)
    rows = sharding.batch_sharding(mesh)
    batch = {
        name: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=rows)
        for name, array in batch_of(0).items()
    }
    text = step.lower(setup.shapes, {}, batch).as_text()
    gathers, reductions = (
        text.count(f'"stablehlo.{name}"') for name in ("all_gather", "reduce_scatter")
    )
    return f"{gathers} gathers, {reductions} reduce-scatters"


def adapter_steps(shape: dict, devices: list, base: str) -> dict:
    """Losses and gradient norms of training adapters over a frozen base of random numbers."""
    import jax

    from semcoder_jax.config import parse_run
    from semcoder_jax.model import sharding
    from semcoder_jax.planner.compiled_step import StepShapes

    config = setting(1)[0].to_record()
    config["model"] |= {"vocab_size": 256, "init_from": "nowhere"}
    config |= {"mesh": shape, "lora": {"rank": 8, "base": base}, "initialization": {}}
    config["optimizer"]["name"] = "adamw"
    shapes = StepShapes.of(parse_run(config), devices)

    def random_array(path, leaf):
        random = np.random.default_rng(len(jax.tree_util.keystr(path)))
        if np.issubdtype(leaf.dtype, np.integer):
            array = random.integers(0, 100, leaf.shape) if leaf.ndim else np.zeros(())
        else:
            array = random.normal(scale=0.2, size=leaf.shape)
            if ".nu" in jax.tree_util.keystr(path):  # second moments
                array = np.square(array)
        return jax.device_put(array.astype(leaf.dtype), leaf.sharding)

    state, frozen, _ = jax.tree_util.tree_map_with_path(random_array, shapes.arguments)
    rows = []
    for number in range(STEPS):
        batch = sharding.put_batch(batch_of(number), shapes.mesh)
        state, metrics = shapes.step(state, frozen, batch)
        rows.append(jax.device_get(metrics))
    return {name: [float(row[name]) for row in rows] for name in ("loss", "gradient_norm")}


def restore_elsewhere(state, mesh, directory):
    import jax

    from semcoder_jax.checkpoints import Checkpoints
    from semcoder_jax.training.state import restore_state, state_shardings

    class Place:
        """The input iterator's part in a checkpoint."""

        def get_state(self):
            return {"step": STEPS}

        def set_state(self, state):
            assert state == {"step": STEPS}

    checkpoints = Checkpoints(directory)
    checkpoints.save(STEPS, state.params, state.optimizer, Place())
    checkpoints.wait()
    shapes = jax.eval_shape(lambda: state)
    restored = restore_state(checkpoints, shapes, state_shardings(shapes, mesh), Place())
    checkpoints.close()
    return restored


if __name__ == "__main__":
    print(json.dumps(measure()))
