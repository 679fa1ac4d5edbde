"""Tests by the TPU compiler where full fine-tuning fits (slow set; needs libtpu, no TPU).

libtpu is either installed (pip install "jax[tpu]") or in the folder that SEMCODER_LIBTPU names (pip
install --no-deps --target=FOLDER libtpu), where other programs do not see it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from semcoder_jax.commands import plan
from semcoder_jax.planner.roofline import Exchange
from semcoder_jax.planner.topologies import CHIPS, GIBIBYTE
from tests.support.planned_run import planned_run

REPOSITORY = Path(__file__).parents[2]
FOLDER = os.environ.get("SEMCODER_LIBTPU", "")
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join(filter(None, [FOLDER, str(REPOSITORY)])),
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def compiler(tpu_compiler, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCODER_CACHE", str(tmp_path))


def planned(capsys, *flags: str) -> tuple[int, dict, str]:
    """(exit code, the only plan, what was said meanwhile)"""
    code = plan.main([*flags, "--json"])
    captured = capsys.readouterr()
    assert captured.out, captured.err
    (row,) = json.loads(captured.out)
    return code, row, captured.err


def config(name: str) -> str:
    return f"--config={REPOSITORY / 'configs' / name}"


def test_full_fine_tuning_of_6_7b_fits_16_chips_of_16_gb(capsys):
    flags = [config("semcoder_6p7b.py"), "--topology=v5e:4x4"]
    # In one microbatch it does not, and the compiler says by how much.
    code, row, _ = planned(capsys, *flags, "--config.train.accumulation_steps=1")
    assert (code, row["fits"]) == (1, False)
    assert row["compiler"]["needed_bytes"] > row["compiler"]["usable_bytes"]
    code, row, said = planned(capsys, *flags)
    assert (code, row["fits"]) == (0, True)
    assert row["tokens_per_step"] == 512 * 2048
    found = row["compiler"]
    assert found["trained_parameters"] == 6_740_512_768
    # Parameters and two moments in float32 at least; at most what a chip has.
    assert 12 * 6_740_512_768 / 16 < found["peak_bytes"] < 15.75 * GIBIBYTE
    layer = [one for one in found["collectives"] if 32 in one["loops"]]
    # Gradients leave by a ring (semcoder_jax.model.ring), for want of a reduce-scatter.
    assert {one["kind"] for one in layer} == {"all-gather", "collective-permute"}
    assert found["sent_bytes"]["all-reduce"] < 1e-3 * found["least_exchanged_bytes"]
    assert {one["dtype"] for one in layer} == {"bfloat16"}
    sent = sum(sum(_exchange(one).received_bytes()) for one in found["collectives"])
    assert sent == pytest.approx(found["least_exchanged_bytes"], rel=0.05)
    # An estimate below the time of the model FLOPs alone would be wrong.
    at_least = row["model_flops_per_step"] / (16 * 197e12)
    assert at_least < row["estimate"]["step_seconds"] < 3 * at_least
    # Asked again, nothing is compiled.
    assert "compiling" in said
    again = planned(capsys, *flags)
    assert again[:2] == (0, row) and again[2] == ""


def _exchange(record: dict) -> Exchange:
    return Exchange(**record | {"loops": tuple(record["loops"])})


USABLE = """
import json, sys
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from semcoder_jax.planner.compiled_step import parse_compiler_error
from semcoder_jax.planner.topologies import CHIPS, describe, names, parse
found = {}
for chip in CHIPS.values():
    smallest = parse(names(chip)[0])
    assert [d.device_kind for d in describe(smallest)]
    for name in [*names(chip)[1:9], smallest.slice_name + "x2slices"]:
        describe(parse(name))
    place = NamedSharding(Mesh(np.array(describe(smallest)), "x"), PartitionSpec())
    program = jax.jit(lambda x: x + 1, in_shardings=place, out_shardings=place)
    try:
        program.lower(jax.ShapeDtypeStruct((1 << 17, 1 << 20), jnp.float32)).compile()
    except jax.errors.JaxRuntimeError as error:
        found[chip.name] = parse_compiler_error(str(error))['usable_bytes']
print(json.dumps(found))
"""


def test_each_version_has_the_devices_and_the_memory_that_the_compiler_knows():
    done = subprocess.run(
        [sys.executable, "-c", USABLE],
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {name: int(chip.usable_bytes) for name, chip in CHIPS.items()}


def test_the_process_ends_with_its_owner_while_it_compiles():
    run = planned_run(
        batch=16,
        compute={"dtype": "bfloat16", "remat": "nothing_saveable"},
        mesh={"fsdp": -1},
    )
    question = {"run": run.to_record(), "topology": "v5e:4x4"}
    process = subprocess.Popen(
        [sys.executable, "-m", "semcoder_jax.planner.compiler_process"],
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    process.stdin.write(json.dumps(question) + "\n")
    process.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(10)
    process.stdin.close()  # as when its owner is killed
    assert process.wait(10) == 0
