"""Tests that sampling over simulated devices, with a split model, gives the tokens of one device.

Runs in its own process (`python FILE`), because JAX fixes the number of simulated devices when it
starts.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.simulated_devices import measure_on_devices

DEVICES = 4  # more than the model has key/value heads


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return measure_on_devices(DEVICES, __file__, str(tmp_path_factory.mktemp("model")))


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["float32", "int8 weights and cache"])
def test_tokens_are_those_of_one_device(measured, setting):
    runs = measured[setting]
    assert runs["2"]["generations"] == runs["1"]["generations"]
    assert any(len(set(row)) > 5 for rows in runs["1"]["generations"] for row in rows)


@pytest.mark.slow
def test_each_device_holds_its_part(measured):
    for runs in measured.values():
        for part in ("weights", "cache"):
            assert runs["2"][part] < 0.6 * runs["1"][part]


@pytest.mark.slow
def test_more_devices_than_heads_are_refused(measured):
    for runs in measured.values():
        assert "2 key/value heads cannot be split" in runs["4"]["error"]


@pytest.mark.slow
def test_no_program_is_compiled_twice(measured):
    """The cache comes back laid out as it went in."""
    for runs in measured.values():
        assert [runs[tensor]["compiled_after_warm_up"] for tensor in ("1", "2")] == [0, 0]


def measure(directory: Path) -> dict:
    import dataclasses

    import jax

    from semcoder_jax.inference.engine import Engine, Request
    from semcoder_jax.inference.params import SamplingError, SamplingParams
    from semcoder_jax.model import sharding
    from semcoder_jax.model.quantization import abstract_quantized, quantize_params
    from tests.support.deepseek_shaped import build

    model, _ = build(directory)
    rng = np.random.default_rng(0)
    requests = [
        Request(
            rng.integers(0, 96, length).tolist(),
            SamplingParams(max_new_tokens=40, temperature=temperature, seed=3),
            n=2,
        )
        for length in (5, 70, 130)
        for temperature in (0.0, 0.8)
    ]
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )

    def bytes_on_first(tree):
        first = jax.devices()[0]
        return sum(
            shard.data.nbytes
            for leaf in jax.tree.leaves(tree)
            for shard in leaf.addressable_shards
            if shard.device == first
        )

    def run(tensor: int, quantize: bool) -> dict:
        mesh = sharding.make_mesh({"tensor": tensor}, jax.devices()[:tensor])
        params = model.params
        if quantize:
            places = sharding.parameter_shardings(abstract_quantized(params), mesh)
            params = quantize_params(params, places)
        else:
            params = jax.device_put(params, sharding.parameter_shardings(params, mesh))
        try:
            engine = Engine(
                dataclasses.replace(model, params=params),
                num_slots=4,
                cache_tokens=1200,
                cache_dtype="int8" if quantize else None,
                speculation="off",
            )
        except SamplingError as error:
            return {"error": str(error)}
        engine.warm_up()
        count = len(compiled)
        generations = [[g.tokens for g in rows] for rows in engine.generate(requests)]
        return {
            "generations": generations,
            "weights": bytes_on_first(params),
            "cache": bytes_on_first(engine._slots._cache),
            "compiled_after_warm_up": len(compiled) - count,
        }

    return {
        setting: {str(tensor): run(tensor, quantize) for tensor in (1, 2, 4)}
        for setting, quantize in (("float32", False), ("int8 weights and cache", True))
    }


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
