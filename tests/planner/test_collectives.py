"""Compares collectives parsed from a handwritten module with bytes counted by hand.

The slow set tests the exchange of the real step by the TPU compiler (needs libtpu, no TPU).
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh

from semcoder_jax.model import sharding
from semcoder_jax.planner.collectives import (
    Collective,
    collectives,
    fsdp_minimum,
    moved_bytes,
    sent_bytes_by_kind,
)

REPOSITORY = Path(__file__).parents[2]
FOLDER = os.environ.get("SEMCODER_LIBTPU", "")

# ==== By hand

MODULE = """
HloModule step, entry_computation_layout={()->f32[]}

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

%inner_body (p: (s32[], bf16[16,64])) -> (s32[], bf16[16,64]) {
  %p = (s32[], bf16[16,64]) parameter(0)
  %scattered = bf16[4,64]{1,0} reduce-scatter(%whole), channel_id=1, replica_groups={{0,1,2,3},{4,5,6,7}}, use_global_device_ids=true, dimensions={0}, to_apply=%add
  ROOT %t = (s32[], bf16[16,64]) tuple(%i, %x)
}

%inner_condition (p: (s32[], bf16[16,64])) -> pred[] {
  %limit = s32[] constant(3)
  ROOT %less = pred[] compare(%i, %limit), direction=LT
}

%fused (q: bf16[4,64]) -> bf16[16,64] {
  ROOT %gathered = bf16[16,64]{1,0:T(8,128)(2,1)} all-gather(%q), channel_id=7, replica_groups=[2,4]<=[8], dimensions={0}, use_global_device_ids=true
}

%fused_again (q: bf16[4,64]) -> bf16[16,64] {
  ROOT %gathered = bf16[16,64]{1,0} all-gather(%q), channel_id=7, replica_groups=[2,4]<=[8], dimensions={0}, use_global_device_ids=true
}

%body (p: (s32[], bf16[16,64])) -> (s32[], bf16[16,64]) {
  %p = (s32[], bf16[16,64]) parameter(0)
  %f1 = bf16[16,64]{1,0} fusion(%q), kind=kCustom, calls=%fused
  %f2 = bf16[16,64]{1,0} fusion(%q), kind=kCustom, calls=%fused_again
  %loop = (s32[], bf16[16,64]) while(%t), condition=%inner_condition, body=%inner_body
  ROOT %t = (s32[], bf16[16,64]) tuple(%i, %f1)
}

%condition (p: (s32[], bf16[16,64])) -> pred[] {
  %limit = s32[]{:T(128)} constant(5)
  ROOT %less = pred[] compare(%i, %limit), direction=LT
}

ENTRY %main (x: f32[]) -> f32[] {
  %loop = (s32[], bf16[16,64]) while(%t), condition=%condition, body=%body
  %pair = (f32[8,2]{1,0}, /*index=1*/s32[6]{0}) all-reduce(%u, %v), channel_id=2, replica_groups=mesh['data'=2,'fsdp'=4] {'data'}, to_apply=%add, metadata={op_name="jit(step)/psum"}
  %start = (f32[2,3]{1,0}, f32[2,12]{1,0}) all-gather-start(%w), channel_id=3, replica_groups=[4,2]<=[2,4]T(1,0), dimensions={1}
  %done = f32[2,12]{1,0} all-gather-done(%start)
  %sent = bf16[10]{0} collective-permute(%z), channel_id=4, source_target_pairs={{0,1},{1,0}}
  %alone = f32[9]{0} all-reduce(%y), channel_id=5, replica_groups={{0},{1},{2},{3},{4},{5},{6},{7}}, to_apply=%add
  ROOT %r = f32[] add(%x, %x)
}
"""  # noqa: E501


def test_a_module_by_hand():
    """Two slices of four devices; loops of 5 turns, with 3 turns in each; a gather in a fusion
    whose two stages both hold it."""
    found = collectives(MODULE, slices=[0, 0, 0, 0, 1, 1, 1, 1])
    assert set(found) == {
        Collective("all-gather", "bfloat16", (16, 64), 4, (5,)),
        Collective("reduce-scatter", "bfloat16", (16, 64), 4, (5, 3)),
        Collective("all-reduce", "float32", (8, 2), 2, (), True, "jit(step)/psum"),
        Collective("all-reduce", "int32", (6,), 2, (), True, "jit(step)/psum"),
        Collective("all-gather", "float32", (2, 12), 2, (), True),
        Collective("collective-permute", "bfloat16", (10,), 2),
    }
    assert len(found) == 6
    by_hand = 5 * 2048 * 3 / 4 + 15 * 2048 * 3 / 4 + (64 + 24) + 96 / 2 + 20
    assert moved_bytes(found) == by_hand


OPTIMIZED = """
%all-reduce-scatter.1 (input: bf16[1000,64]) -> bf16[260,64] {
  %input = bf16[1000,64]{1,0} parameter(0)
  %pad = bf16[1040,64]{1,0} pad(%input, %zero), padding=0_40x0_0
  %all-reduce.2 = bf16[1040,64]{1,0:T(8,128)(2,1)} all-reduce(%pad), channel_id=2, replica_groups={{0,1,2,3}}, use_global_device_ids=true, to_apply=%add
  ROOT %slice = bf16[260,64]{1,0} dynamic-slice(%all-reduce.2, %i, %z), dynamic_slice_sizes={260,64}
}

ENTRY %main (x: bf16[1000,64]) -> bf16[260,64] {
  %sent = (bf16[16,64]{1,0:T(8,128)(2,1)}, bf16[16,64]{1,0}, u32[]{:S(2)}, u32[]{:S(2)}) collective-permute-start(%x), channel_id=1, source_target_pairs={{0,1},{1,2},{2,3},{3,0}}
  %got = bf16[16,64]{1,0} collective-permute-done(%sent)
  ROOT %fusion = bf16[260,64]{1,0} fusion(%x), kind=kCustom, calls=%all-reduce-scatter.1
}
"""  # noqa: E501


def test_bytes_of_an_optimized_program_by_hand():
    """A fusion of an all-reduce and a slice sends as a reduce-scatter of the padded array does."""
    assert sent_bytes_by_kind(OPTIMIZED) == {
        "collective-permute": 16 * 64 * 2,
        "reduce-scatter": 1040 * 64 * 2 * 3 / 4,
    }


def test_a_loop_without_a_plain_count_leaves_the_bytes_unknown():
    limit = "  %limit = s32[]{:T(128)} constant(5)\n"
    assert sent_bytes_by_kind(MODULE) is not None
    assert sent_bytes_by_kind(MODULE.replace(limit, "")) is None


def test_a_minimum_by_hand():
    """Three layers of one 8 x 6 matrix and one norm, an embedding of 10 x 8, on 2 x 4 devices."""
    mesh = AbstractMesh((2, 4, 1), sharding.MESH_AXES)
    shapes = {
        "embed_VxD": jax.ShapeDtypeStruct((10, 8), jnp.float32),
        "layers": {
            "attention_norm": {"scale": jax.ShapeDtypeStruct((3, 8), jnp.float32)},
            "feed_forward": {"up_DxF": jax.ShapeDtypeStruct((3, 8, 6), jnp.float32)},
        },
    }
    places = sharding.parameter_shardings(shapes, mesh)
    minimum = fsdp_minimum(shapes, places, mesh, dtype="bfloat16", microbatches=5)
    matrix, embedding = 3 * 8 * 6, 10 * 8
    assert minimum.gather == 5 * (2 * matrix + embedding) * 2 * 3 / 4
    over_fsdp = 5 * (matrix + embedding) * 2 * 3 / 4
    over_data = (matrix + embedding) / 4 * 4 * 2 * 1 / 2
    over_both = 3 * 8 * 4 * 2 * 7 / 8
    assert minimum.reduce == over_fsdp + over_data + over_both
    frozen = fsdp_minimum({}, {}, mesh, dtype="bfloat16", frozen=(shapes, places))
    assert frozen.gather == minimum.gather / 5 and frozen.reduce == 0


# ==== By the TPU compiler

SETTINGS = {
    "v5e:8x8": {"mesh": {"fsdp": -1}, "rows": 64},
    "fsdp and tensor": {"mesh": {"fsdp": 4, "tensor": 4}, "rows": 32, "topology": "v5e:4x4"},
    "two slices": {
        "mesh": {"fsdp": -1},
        "rows": 64,
        "topology": "v5e:4x4",
        "num_slices": 2,
        "microbatches": 2,
        "remat": "offload",
    },
    "naive": {"mesh": {"fsdp": -1}, "rows": 64, "topology": "v5e:4x4", "naive": True},
}
L, D, F, V, H, T = 3, 1024, 2816, 4096, 8, 512
LAYER = {(D, H, D // H): 3, (H, D // H, D): 1, (D, F): 2, (F, D): 1}
OUTER = {(V, D): 1, (D, V): 1}


@pytest.fixture(scope="module")
def measured(tpu_compiler):
    process = subprocess.run(
        [sys.executable, __file__],
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(filter(None, [FOLDER, str(REPOSITORY)])),
            "JAX_PLATFORMS": "cpu",
            "TPU_SKIP_MDS_QUERY": "1",
            "TPU_WORKER_HOSTNAMES": "localhost",
            "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=1100,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads(process.stdout.splitlines()[-1])


def exchanges_of(measured, setting, text="partitioned") -> list[Collective]:
    """Those of more than a norm's worth of numbers; the rest (losses, norms, counts) is checked
    to be small in all."""
    found = [
        Collective(**row | {"shape": tuple(row["shape"]), "loops": tuple(row["loops"])})
        for row in measured[setting][text]
    ]
    small = [one for one in found if np.prod(one.shape) <= L * D]
    assert moved_bytes(small) < 0.01 * moved_bytes(found)
    return [one for one in found if np.prod(one.shape) > L * D]


@pytest.mark.slow
def test_weights_alone_travel_and_no_more_often_than_they_must(measured):
    found = exchanges_of(measured, "v5e:8x8")
    assert {one.dtype for one in found} == {"bfloat16"}
    assert {one.group_size for one in found} == {64}
    counts = Counter((one.kind, one.shape, one.loops) for one in found)
    expected = Counter()
    for shape, number in LAYER.items():
        expected["all-gather", shape, (L,)] = 2 * number  # forward, backward
        expected["reduce-scatter", shape, (L,)] = number
    for shape, number in OUTER.items():
        expected["all-gather", shape, ()] = number
        expected["reduce-scatter", shape, ()] = number
    assert counts == expected


@pytest.mark.slow
def test_the_optimized_program_sends_the_same_arrays(measured):
    """Whatever the compiler calls an exchange in the end."""
    found = exchanges_of(measured, "v5e:8x8", "optimized")
    assert {one.dtype for one in found} == {"bfloat16"}
    counts = Counter((tuple(n for n in one.shape if n > 1), one.loops) for one in found)
    expected = Counter({(shape, (L,)): 3 * number for shape, number in LAYER.items()})
    expected += Counter({(shape, ()): 2 * number for shape, number in OUTER.items()})
    assert counts == expected


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["v5e:8x8", "two slices"])
def test_bytes_are_the_minimum(measured, setting):
    run = measured[setting]
    sent = sum(one.moved_bytes for one in exchanges_of(measured, setting))
    assert sent == pytest.approx(run["minimum"], rel=0.05)


@pytest.mark.slow
def test_the_measure_sees_what_a_naive_step_sends(measured):
    """Without the gathers written out the compiler exchanges activations: this could fail."""
    run = measured["naive"]
    shapes = {one.shape for one in exchanges_of(measured, "naive")}
    assert any(T in shape for shape in shapes)
    assert moved_bytes(exchanges_of(measured, "naive")) > 1.5 * run["minimum"]


@pytest.mark.slow
def test_tensor_parallelism_leaves_weights_split(measured):
    """Of a weight, a device gathers its part over tensor; between the parts, only activations and
    what follows from them is summed."""
    found = exchanges_of(measured, "fsdp and tensor")
    split = {tuple(n // 4 if n in (H, F, V) else n for n in shape) for shape in LAYER | OUTER}
    kinds = {"all-gather", "reduce-scatter"}
    assert {one.shape for one in found if one.kind in kinds} == split
    others = [one for one in found if one.kind not in kinds]
    assert others and all(one.kind == "all-reduce" and D in one.shape for one in others)
    assert not {one.shape for one in others} & split


@pytest.mark.slow
def test_slices_exchange_gradients_once_a_step(measured):
    """And nothing else, however many microbatches there are."""
    between = [one for one in exchanges_of(measured, "two slices") if one.between_slices]
    counts = Counter((one.kind, one.dtype, one.shape, one.loops) for one in between)
    expected = Counter()
    for shape, number in LAYER.items():
        shard = tuple(n // 16 if n == D else n for n in shape)
        expected["all-reduce", "float32", (L, *shard), ()] = number
    for shape, number in OUTER.items():
        shard = tuple(n // 16 if n == D else n for n in shape)
        expected["all-reduce", "float32", shard, ()] = number
    assert counts == expected


@pytest.mark.slow
def test_data_alone_spans_slices(measured):
    assert measured["two slices"]["slices"] == [[0], [1]]


@pytest.mark.slow
def test_offloading_holds_the_layers_inputs_in_the_hosts_memory(measured):
    """One row of a microbatch on each device, bfloat16; without it, nothing."""
    assert measured["two slices"]["host_bytes"] == L * T * D * 2
    assert measured["v5e:8x8"]["host_bytes"] == 0


@pytest.mark.slow
def test_kernels_run_where_tensor_alone_splits(measured):
    """Attention forward, and backward again with the gradients of queries and of keys."""
    assert measured["tensor alone"]["kernels"] == 4


def measure() -> dict:
    import dataclasses
    import functools

    from flax import nnx
    from jax.experimental import topologies

    from semcoder_jax.checkpoints import abstract_model
    from semcoder_jax.config import parse_run
    from semcoder_jax.planner.collectives import compile_with_collectives
    from semcoder_jax.planner.compiled_step import StepShapes
    from semcoder_jax.training.step import batch_loss_sums

    rows = {}
    for name, setting in SETTINGS.items():
        slices = {"num_slices": setting["num_slices"]} if "num_slices" in setting else {}
        described = topologies.get_topology_desc(
            platform="tpu", topology_name=setting.get("topology", name), **slices
        )
        run = parse_run(config_of(setting))
        shapes = StepShapes.of(run, described.devices)
        mesh, step, arguments = shapes.mesh, shapes.step, shapes.arguments
        if setting.get("naive"):
            graphdef, _ = nnx.split(abstract_model(run.decoder_config(V), run.compute))
            params, batch = arguments[0].params, arguments[-1]
            arguments = (params, batch)
            loss = functools.partial(batch_loss_sums, graphdef)
            step = jax.jit(
                jax.grad(lambda params, batch, loss=loss: loss(params, batch)[0]),
                out_shardings=jax.tree.map(lambda leaf: leaf.sharding, params),
            )
        else:
            params = arguments[0].params
        compiled, partitioned = compile_with_collectives(step.lower(*arguments), mesh)
        minimum = fsdp_minimum(
            params,
            jax.tree.map(lambda leaf: leaf.sharding, params),
            mesh,
            dtype="bfloat16",
            microbatches=run.train.accumulation_steps,
        )
        print(name, file=sys.stderr, flush=True)
        rows[name] = {
            "partitioned": [dataclasses.asdict(one) for one in partitioned],
            "optimized": [dataclasses.asdict(one) for one in collectives(compiled.as_text())]
            if name == "v5e:8x8"
            else [],
            "minimum": minimum.total,
            "host_bytes": compiled.memory_analysis().host_temp_size_in_bytes,
            "slices": [
                sorted({getattr(d, "slice_index", 0) for d in part.flat}) for part in mesh.devices
            ],
        }
    described = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2")
    alone = StepShapes.of(
        parse_run(config_of({"mesh": {"tensor": 4}, "rows": 4})), described.devices
    )
    lowered = alone.step.lower(*alone.arguments)
    rows["tensor alone"] = {"kernels": lowered.as_text().count("@tpu_custom_call")}
    return rows


def config_of(setting) -> dict:
    return {
        "model": {
            "vocab_size": V,
            "hidden_size": D,
            "intermediate_size": F,
            "num_layers": L,
            "num_heads": H,
        },
        "compute": {
            "dtype": "bfloat16",
            "remat": setting.get("remat", "nothing_saveable"),
            "attention": "xla" if setting.get("naive") else "auto",
        },
        "mesh": setting["mesh"],
        "data": {
            "source": "synthetic",
            "sequence_length": T,
            "global_batch_size": setting["rows"],
        },
        "train": {"num_steps": 10, "accumulation_steps": setting.get("microbatches", 1)},
    }


if __name__ == "__main__":
    print(json.dumps(measure()))
