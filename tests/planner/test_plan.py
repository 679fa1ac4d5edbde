"""Tests the planner without a compiler: cache keys, cached results, process failures, reports."""

import dataclasses
import json
import re

import jax
import pytest

from data_pipeline.source.import_closure import ROOT, import_closure
from semcoder_jax.config import MODELS, ConfigError, parse_run
from semcoder_jax.model import flops
from semcoder_jax.planner import cache as plan_cache
from semcoder_jax.planner import compiled_step
from semcoder_jax.planner.cache import plan_key, source_hash
from semcoder_jax.planner.compiled_step import CompiledStep, StepShapes, batch_shapes
from semcoder_jax.planner.compiler import CompileError, Compiler
from semcoder_jax.planner.report import make_plan, plan_lines, table_lines
from semcoder_jax.planner.settings import Setting
from semcoder_jax.planner.topologies import parse
from tests.support.planned_run import planned_run
from tests.support.planner_stand_in import ECHO, FITS, Answers, record

# ==== The program that is compiled


def test_the_step_is_the_one_that_trains(tmp_path):
    """Lowered from shapes it is the program that train.py runs: here it runs, from real arrays."""
    run = parse_run(record(model__num_layers=1, data__global_batch_size=2))
    devices = jax.devices()[:1]
    shapes = StepShapes.of(run, devices)
    quick = {"xla_backend_optimization_level": 0}
    compiled = shapes.step.lower(*shapes.arguments).compile(quick)
    zeros = jax.tree.map(
        lambda leaf: jax.device_put(jax.numpy.zeros(leaf.shape, leaf.dtype), leaf.sharding),
        shapes.arguments,
    )
    after, metrics = compiled(*zeros)
    assert int(after.step) == 1 and int(metrics["target_tokens"]) == 0


def test_a_batch_has_the_shapes_of_the_config():
    shapes = batch_shapes(parse_run(record()).data)
    assert {"tokens", "targets", "loss_mask", "segment_ids", "positions", "kinds"} <= shapes.keys()
    assert {leaf.shape for leaf in shapes.values()} == {(32, 8)}


def test_bytes_of_a_device_are_those_of_its_shards():
    mesh = jax.sharding.AbstractMesh((1, 8, 1), ("data", "fsdp", "tensor"))
    place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("fsdp"))
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    tree = {
        "a": jax.ShapeDtypeStruct((16, 3), "float32", sharding=place),
        "b": jax.ShapeDtypeStruct((5,), "bfloat16", sharding=whole),
    }
    assert compiled_step.shard_bytes(tree) == 2 * 3 * 4 + 5 * 2


@pytest.mark.parametrize(
    ("message", "needed", "usable"),
    [
        (
            "RESOURCE_EXHAUSTED: … the total memory required (29.12G) exceeds available HBM "
            "(15.75G)",
            29.12 * 2**30,
            15.75 * 2**30,
        ),
        (
            "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
            "temporaries (1.00T) exceeds available HBM (7.48G).",
            2**40,
            7.48 * 2**30,
        ),
        ("RESOURCE_EXHAUSTED: something else", None, None),
    ],
)
def test_what_the_compiler_says_of_a_program_too_large(message, needed, usable):
    found = compiled_step.parse_compiler_error(message)
    sizes = {"needed_bytes": needed, "usable_bytes": usable}
    assert found == {name: int(size) for name, size in sizes.items() if size}


def test_another_failure_is_not_taken_for_a_lack_of_memory():
    found = compiled_step.parse_compiler_error("INTERNAL: Mosaic failed\nmore")
    assert found == {"refusal": "INTERNAL: Mosaic failed"}
    step = dataclasses.replace(FITS, fits=False, peak_bytes=None, **found)
    made = make_plan(parse_run(record(mesh__fsdp=16)), parse("v5e:4x4"), step)
    assert "unknown: the compiler fails at it: INTERNAL: Mosaic failed" in "\n".join(
        plan_lines(made)
    )
    assert table_lines([made])[1].split()[2] == "?"


# ==== The architecture without a tokenizer


def test_architecture_needs_no_tokenizer(tmp_path):
    assert compiled_step.architecture(parse_run(record())).vocab_size == 64
    named = record()
    named["model"] = {"architecture": "33b", "init_from": "/nowhere"}
    assert compiled_step.architecture(parse_run(named)) == MODELS["33b"]
    del named["model"]["architecture"]
    with pytest.raises(ConfigError, match=r"no such directory.*model\.architecture"):
        compiled_step.architecture(parse_run(named))
    unsaid = record()
    del unsaid["model"]["vocab_size"]
    with pytest.raises(ConfigError, match=r"model\.vocab_size is missing"):
        compiled_step.architecture(parse_run(unsaid))


# ==== The cache


def test_only_what_shapes_the_program_decides_its_key():
    def key(**changes):
        return plan_key(parse_run(record(**changes)), "v5e:4x4", "1")

    same = [
        {"data__train": "elsewhere"},
        {"train__num_steps": 7},
        {"train__log_every": 3},
        {"initialization__offset_heads": (1,)},
    ]
    assert {key(**change) for change in same} == {key()}
    other = [
        {"data__sequence_length": 16},
        {"data__global_batch_size": 64},
        {"train__accumulation_steps": 1},
        {"compute__dtype": "bfloat16"},
        {"model__num_layers": 3},
        {"mesh__tensor": 2},
        {"optimizer__name": "muon"},
    ]
    keys = {key(**change) for change in other}
    assert len(keys) == len(other) and key() not in keys
    run = parse_run(record())
    assert len({key(), plan_key(run, "v5e:4x8", "1"), plan_key(run, "v5e:4x4", "2")}) == 3


def test_the_source_of_the_step_decides_it_too(monkeypatch):
    """Every file that the step runs on reaches the digest, and no other one."""
    asked = []
    monkeypatch.setattr(plan_cache, "source_digest", lambda modules: asked.extend(modules) or "")
    source_hash.__wrapped__()
    files = {path.relative_to(ROOT).as_posix() for path in import_closure(asked)}
    step = ("training/step", "training/loss", "training/optimizer", "model/decoder")
    assert {f"semcoder_jax/{name}.py" for name in step} <= files
    assert not {"training/loop", "training/metrics", "commands/evaluate"} & {
        name.removeprefix("semcoder_jax/").removesuffix(".py") for name in files
    }


def test_what_was_compiled_is_not_compiled_again(tmp_path):
    run, place = parse_run(record()), parse("v5e:4x4")
    with Answers(tmp_path, ECHO) as compiler:
        assert compiler.read_cached(run, place) is None
        assert compiler.compile(run, place).seconds == 1
        assert compiler.compile(run, place).seconds == 1
        assert compiler.compile(run, parse("v5e:4x8")).seconds == 2
    with Answers(tmp_path, "raise SystemExit('not asked again')") as compiler:
        assert compiler.compile(run, place).seconds == 1


def test_a_damaged_answer_is_asked_for_again(tmp_path):
    run, place = parse_run(record()), parse("v5e:4x4")
    with Answers(tmp_path, ECHO) as compiler:
        compiler.compile(run, place)
        for kept in (tmp_path / "plans").iterdir():
            kept.write_text('{"fits": tr')
        assert compiler.compile(run, place).seconds == 2
        for kept in (tmp_path / "plans").iterdir():
            kept.write_text('{"fits": true}')
        assert compiler.compile(run, place).seconds == 3


# ==== The compiler's process


def test_a_refusal_is_one_line_and_the_process_goes_on(tmp_path):
    refusing = """
        import json, sys
        for line in sys.stdin:
            answer = {"error": "INTERNAL: no", "kind": "MeshError"}
            print(json.dumps(answer), flush=True)
    """
    with Answers(tmp_path, refusing) as compiler:
        for _ in range(2):
            with pytest.raises(CompileError, match="v5e:4x4: MeshError: INTERNAL: no"):
                compiler.compile(parse_run(record()), parse("v5e:4x4"))
    assert not (tmp_path / "plans").exists()


def test_the_end_of_the_process_is_told_with_its_last_words(tmp_path):
    dying = "import sys; sys.stdin.readline(); sys.exit('CHECK failed: out of luck')"
    told = pytest.raises(CompileError, match=r"exit code 1.*CHECK failed: out of luck")
    with Answers(tmp_path, dying) as compiler, told:
        compiler.compile(parse_run(record()), parse("v5e:4x4"))


def test_leaving_ends_a_compilation_under_way(tmp_path):
    endless = "import time; time.sleep(600)"
    ticks = []

    def interrupted(seconds):
        ticks.append(seconds)
        raise KeyboardInterrupt

    compiler = Answers(tmp_path, endless)
    with pytest.raises(KeyboardInterrupt), compiler:
        compiler.compile(parse_run(record()), parse("v5e:4x4"), interrupted)
    assert ticks and compiler._process is None


def test_without_libtpu_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("SEMCODER_LIBTPU", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CompileError, match=r'pip install "jax\[tpu\]"') as caught:
        Compiler()
    assert str(tmp_path) in str(caught.value)


# ==== Plans


def test_a_plan_by_hand():
    run = planned_run(
        batch=512,
        num_steps=1092,
        compute={"dtype": "bfloat16", "remat": "nothing_saveable"},
        mesh={"fsdp": -1},
        train={"accumulation_steps": 16},
    )
    made = make_plan(run, parse("v5e:4x4"), FITS, None)
    assert made.setting == Setting((1, 16, 1), 16, "nothing_saveable")
    assert (made.rows, made.tokens) == (2, 512 * 2048)
    assert made.model_flops == flops.model_flops(MODELS["6.7b"], 512, 2048)
    # 5.7e16 FLOPs on 16 x 197e12 FLOP/s; 1,024 gathers of 400 MB over two links of 50 GB/s.
    assert made.roofline.compute == pytest.approx(18.083, rel=1e-3)
    assert made.roofline.ici == pytest.approx(1024 * 0.375 / 100, rel=1e-6)
    assert made.hours == pytest.approx(1092 * 18.083 / 3600, rel=1e-3)
    shown = "\n".join(plan_lines(made))
    assert "yes: peak 10.00 GiB of 15.75 GiB, 5.75 GiB to spare" in shown
    assert "5.49 hours = 1,092 steps, 87.8 chip-hours" in shown
    assert shown.count("ESTIMATE") == 4
    # Published runs reach 69.9 to 83.1 % of the roofline on v5e: 18.083 s / 0.831 and / 0.699.
    assert "21.8 to 25.9 s a step, 6.60 to 7.85 hours" in shown
    assert "published runs reach 70% to 83% of this roofline" in shown
    assert re.search(r"all-gather +bfloat16 +200,1000000 +400.00 +16 +1,024 +layer +384.000", shown)
    assert "384.000 GB a step, 1.200 x the least" in shown
    assert max(map(len, plan_lines(made))) < 140


def test_a_plan_that_does_not_fit_says_by_how_much():
    run = parse_run(record(mesh__fsdp=16))
    step = CompiledStep.from_record(
        FITS.to_record()
        | {"fits": False, "peak_bytes": None, "needed_bytes": 20 * 2**30, "collectives": []}
    )
    made = make_plan(run, parse("v5e:4x4"), step, None)
    shown = "\n".join(plan_lines(made))
    assert "no: needs 20.00 GiB of 15.75 GiB, 4.25 GiB too much" in shown
    assert "ESTIMATE" not in shown and made.hours is None


def test_json_comes_back_as_it_went():
    run = parse_run(record(mesh__fsdp=16))
    made = make_plan(run, parse("v5e:4x4"), FITS, None)
    back = json.loads(json.dumps(made.to_record()))
    assert back == made.to_record()
    assert CompiledStep.from_record(back["compiler"]) == FITS
    assert back["estimate"]["hours"] * 16 == pytest.approx(back["estimate"]["chip_hours"])
    assert back["setting"] == {"mesh": [1, 16, 1], "accumulation_steps": 2, "remat": "none"}


def test_a_table_has_a_row_a_topology():
    run = parse_run(record())
    plans = [
        make_plan(Setting.of(run, place.num_devices).apply_to(run), place, FITS, None)
        for place in map(parse, ("v5e:4x4", "v6e:2x4", "v5p:2x2x2"))
    ]
    lines = table_lines(plans)
    assert [line.split()[0] for line in lines[1:4]] == ["v5e:4x4", "v6e:2x4", "v5p:2x2x2"]
    assert "chip-hours" in lines[0] and "ESTIMATE" in lines[4]
    assert len({line.index(" none") for line in lines[1:4]}) == 1  # aligned
