"""The planner without a compiler: what it asks, keeps, shows, and says of mistakes."""

import dataclasses
import io
import json
import re
import sys
import textwrap
from pathlib import Path

import jax
import pytest

from launch import plan
from semcoder_jax.config import MODELS, ConfigError, parse_run
from semcoder_jax.model import flops
from semcoder_jax.planner import compiled_step
from semcoder_jax.planner.cache import PlanCache, plan_key, source_hash
from semcoder_jax.planner.compiled_step import CompiledStep, StepShapes, batch_shapes
from semcoder_jax.planner.compiler import CompileError, Compiler
from semcoder_jax.planner.report import make_plan, plan_lines, table_lines
from semcoder_jax.planner.settings import Setting
from semcoder_jax.planner.topologies import parse


def record(**changes) -> dict:
    base = {
        "model": {
            "vocab_size": 64,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_layers": 2,
            "num_heads": 2,
        },
        "mesh": {"fsdp": -1},
        "data": {
            "source": "jsonl",
            "train": "-",
            "tokenizer": "-",
            "sequence_length": 8,
            "global_batch_size": 32,
        },
        "train": {"num_steps": 100, "accumulation_steps": 2},
    }
    for name, value in changes.items():
        section, _, field = name.partition("__")
        base.setdefault(section, {})[field] = value
    return base


FITS = CompiledStep(
    fits=True,
    peak_bytes=10 * 2**30,
    needed_bytes=None,
    usable_bytes=int(15.75 * 2**30),
    argument_bytes=2**30,
    trained_parameters=6_740_512_768,
    executed_flops=5.7e16,
    collectives=(
        {
            "kind": "all-gather",
            "dtype": "bfloat16",
            "shape": (200, 1_000_000),
            "bytes": 400_000_000,
            "group": 16,
            "slices": 1,
            "loops": (16, 32),
            "count": 2,
        },
    ),
    least_exchanged_bytes=320e9,
    seconds=90.0,
)


class Answers(Compiler):
    """A compiler that needs no libtpu: its process runs ``program`` instead of ours."""

    def __init__(self, folder: Path, program: str):
        script = folder / "program.py"
        script.write_text(textwrap.dedent(program))
        self._libtpu = folder / "site" / "libtpu-1.2.3.dist-info"
        self._libtpu.mkdir(parents=True, exist_ok=True)
        (self._libtpu / "METADATA").write_text("Name: libtpu\nVersion: 1.2.3\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SEMCODER_LIBTPU", str(self._libtpu.parent))
            super().__init__(PlanCache(folder / "plans"), (sys.executable, str(script)))


ECHO = f"""
    import json, sys
    asked = 0
    for line in sys.stdin:
        request, asked = json.loads(line), asked + 1
        step = {FITS.to_record()!r} | {{"seconds": asked}}
        print(json.dumps({{"answer": step}}), flush=True)
"""


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
    shapes = batch_shapes(parse_run(record()))
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
    found = compiled_step._complaint(message)
    sizes = {"needed_bytes": needed, "usable_bytes": usable}
    assert found == {name: int(size) for name, size in sizes.items() if size}


def test_another_failure_is_not_taken_for_a_lack_of_memory():
    found = compiled_step._complaint("INTERNAL: Mosaic failed\nmore")
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


def test_the_source_of_the_step_decides_it_too(monkeypatch, tmp_path):
    from semcoder_jax.planner import cache as plan_cache

    files = plan_cache._imported(["semcoder_jax.training.step"], ("semcoder_jax", "launch"))
    names = {path.stem for path in files}
    assert {"train_step", "model", "attention", "loss", "optimizer", "sharding"} <= names
    assert not {"train", "metrics", "evaluate"} & names
    before = source_hash()
    source_hash.cache_clear()
    step = tmp_path / "semcoder_jax" / "train_step.py"
    step.parent.mkdir()
    step.write_text("from semcoder_jax import model")
    (step.parent / "model.py").write_text("A = 1")
    monkeypatch.setattr(plan_cache, "REPOSITORY", tmp_path)
    first = source_hash()
    source_hash.cache_clear()
    (step.parent / "model.py").write_text("A = 2")
    assert len({before, first, source_hash()}) == 3
    source_hash.cache_clear()


def test_what_was_compiled_is_not_compiled_again(tmp_path):
    run, place = parse_run(record()), parse("v5e:4x4")
    with Answers(tmp_path, ECHO) as compiler:
        assert compiler.known(run, place) is None
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
    run = parse_run(
        {
            "model": {"architecture": "6.7b"},
            "compute": {"dtype": "bfloat16", "remat": "nothing_saveable"},
            "mesh": {"fsdp": -1},
            "data": {
                "source": "jsonl",
                "train": "-",
                "tokenizer": "-",
                "sequence_length": 2048,
                "global_batch_size": 512,
            },
            "train": {"num_steps": 1092, "accumulation_steps": 16},
        }
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
    assert shown.count("ESTIMATE") == 3
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
        make_plan(Setting.of(run, place.num_devices).applied(run), place, FITS, None)
        for place in map(parse, ("v5e:4x4", "v6e:2x4", "v5p:2x2x2"))
    ]
    lines = table_lines(plans)
    assert [line.split()[0] for line in lines[1:4]] == ["v5e:4x4", "v6e:2x4", "v5p:2x2x2"]
    assert "chip-hours" in lines[0] and "ESTIMATE" in lines[4]
    assert len({line.index(" none") for line in lines[1:4]}) == 1  # aligned


# ==== The command


@pytest.fixture
def config_file(tmp_path):
    def write(config: dict) -> str:
        path = tmp_path / "config.py"
        path.write_text(
            "from ml_collections import ConfigDict\n\n\n"
            f"def get_config():\n    return ConfigDict({config!r})\n"
        )
        return f"--config={path}"

    return write


@pytest.fixture
def fake_compiler(monkeypatch, tmp_path):
    monkeypatch.setattr(plan, "Compiler", lambda: Answers(tmp_path, ECHO))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--topology=v5e:4x5"], "topology 'v5e:4x5' is none: did you mean v5e:4x4?"),
        ([], "--topology=… is missing"),
        (["--topology=,"], "--topology is empty"),
        (["--topology=v5e:4x4", "--slices=two"], "--slices is 'two'"),
        (["--topology=v5e:4x4", "--steps=0"], "--steps is '0'"),
        (["--topology=v5e:4x4", "--config.mesh.fsdp=3"], "needs 3 devices, v5e:4x4 has 16"),
        (["--topology=v5e:4x4", "--config.mesh.tensor=3"], "devices, v5e:4x4 has 16"),
        (["--topology=v5e:8x8"], "which the 64 batch shards (data x fsdp) of v5e:8x8 do not"),
        (["--topology=v5e:4x4", "--config.train.num_step=9"], "did you mean num_steps?"),
        (["--topology=v5e:4x4", "--serach"], "serach"),
        (
            ["--topology=v5e:2x2,v5e:16x16", "--search"],
            "no mesh of v5e:16x16 (256 dev",
        ),
    ],
)
def test_mistakes_are_one_line_before_anything_compiles(flags, said, config_file, capsys):
    assert plan.main([config_file(record()), *flags]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("error: ") and said in captured.err


def test_the_command_plans_several_topologies(config_file, fake_compiler, capsys):
    config = record()
    del config["data"]["train"], config["data"]["tokenizer"]  # a plan reads no data
    arguments = [config_file(config), "--topology=v5e:4x4,v5e:2x4"]
    assert plan.main([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    rows = json.loads(captured.out)
    assert [(row["topology"], row["setting"]["mesh"]) for row in rows] == [
        ("v5e:4x4", [1, 16, 1]),
        ("v5e:2x4", [1, 8, 1]),
    ]
    assert "1/2: compiling v5e:4x4" in captured.err
    assert plan.main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("topology") and captured.err == ""  # all of it was known


def test_the_recipe_of_epochs_needs_its_steps(config_file, fake_compiler, capsys):
    config = record(data__num_epochs=3)
    del config["train"]["num_steps"]
    arguments = [config_file(config), "--topology=v5e:4x4"]
    assert plan.main(arguments) == 0
    assert "give --steps=N" in capsys.readouterr().out
    assert plan.main([*arguments, "--steps=3600"]) == 0
    assert "3,600 steps" in capsys.readouterr().out


SEARCHED = f"""
    import json, sys
    def gibibytes(remat, accumulation_steps):
        rows = 4 / accumulation_steps
        return MEMORY + rows + 16 * (remat != "offload") + 20 * (accumulation_steps == 1)
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(question), file=open("asked.jsonl", "a"))
        if "settings" in question:
            bounds = dict(exchanged_bytes=1e9, slice_bytes=1e9)
            bounds["trained_parameters"] = 5
            answer = []
            for one in question["settings"]:
                needed = gibibytes(one["remat"], one["accumulation_steps"])
                flops = 2e15 if one["remat"] == "offload" else 1e15
                bounds |= {{"memory_bytes": 0.8 * needed * 2**30, "executed_flops": flops}}
                answer.append(bounds | {{}})
        else:
            run = question["run"]
            needed = gibibytes(run["compute"]["remat"], run["train"]["accumulation_steps"])
            fits = needed <= 15.75
            answer = {FITS.to_record()!r} | {{"fits": fits, "collectives": []}}
            answer["executed_flops"] = 2e15
            answer |= {{}} if fits else {{"peak_bytes": None, "needed_bytes": needed * 2**30}}
        print(json.dumps({{"answer": answer}}), flush=True)
"""


def test_a_search_shows_the_setting_and_how_to_ask_for_it(
    config_file, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    program = SEARCHED.replace("MEMORY", "3")
    monkeypatch.setattr(plan, "Compiler", lambda: Answers(tmp_path, program))
    arguments = [config_file(record()), "--topology=v5e:2x2,v5e:1x1", "--search"]
    assert plan.main(arguments) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["topology", "v5e:2x2", "v5e:1x1"]
    assert " offload " in lines[1] and " yes " in lines[1] and " yes " in lines[2]
    assert lines[-1].startswith("v5e:1x1: --config.mesh.data=1 ")
    assert "--config.compute.remat=offload" in lines[-1]
    assert "1/2 v5e:2x2, 1 of at most " in captured.err and "does not fit" in captured.err
    asked = (tmp_path / "asked.jsonl").read_text().count("\n")
    assert asked < 2 + 40  # of 189 settings: whole groups fall at their smallest
    # Asked again, all is known; and the flags that were shown are read.
    assert plan.main([*arguments, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["setting"]["remat"] for row in rows] == ["offload", "offload"]
    config = record(compute__remat="none", mesh__data=1, mesh__fsdp=1, mesh__tensor=1)
    flags = lines[-1].split()[1:]
    assert plan.main([config_file(config), "--topology=v5e:1x1", *flags]) == 0
    assert (tmp_path / "asked.jsonl").read_text().count("\n") == asked


def test_a_search_where_even_the_least_is_too_much_compiles_nothing(
    config_file, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    program = SEARCHED.replace("MEMORY", "50")
    monkeypatch.setattr(plan, "Compiler", lambda: Answers(tmp_path, program))
    assert plan.main([config_file(record()), "--topology=v5e:2x2", "--search"]) == 1
    # Offload in 16 microbatches: 0.8 x (50 + 4/16).
    assert "no: needs at least 40.20 GiB of 15.75 GiB" in capsys.readouterr().out
    assert (tmp_path / "asked.jsonl").read_text().count("\n") == 1


def test_progress_on_a_terminal_and_in_a_log():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    shown = []
    for stream in (Terminal(), io.StringIO()):
        progress = plan.Progress(stream)
        progress.begin("1/2", "compiling v5e:4x4")
        for seconds in range(1, 75):
            progress.tick(seconds)
        progress.end("fits")
        shown.append(stream.getvalue())
    assert shown[0].count("\n") == 1 and "\r\033[K1/2: compiling v5e:4x4 … 74 s" in shown[0]
    assert shown[1].splitlines()[:3] == [
        "1/2: compiling v5e:4x4 …",
        "1/2: compiling v5e:4x4 … 30 s",
        "1/2: compiling v5e:4x4 … 60 s",
    ]
    assert re.fullmatch(r"1/2: compiling v5e:4x4: fits, \d+ s", shown[1].splitlines()[3])


def test_an_interruption_is_one_line(config_file, monkeypatch, tmp_path, capsys):
    class Interrupted(Answers):
        def compile(self, *_):
            raise KeyboardInterrupt

    monkeypatch.setattr(plan, "Compiler", lambda: Interrupted(tmp_path, ECHO))
    assert plan.main([config_file(record()), "--topology=v5e:4x4"]) == 130
    assert "the same command goes on" in capsys.readouterr().err.splitlines()[-1]
