"""Tests the command launch.plan: mistakes, tables, searches and their progress."""

import io
import json
import re
from types import SimpleNamespace

import pytest

from semcoder_jax.commands import plan
from semcoder_jax.config_files import read_config
from semcoder_jax.planner import plans
from semcoder_jax.planner.settings import Setting
from semcoder_jax.planner.written_config import write_config
from tests.support.config_file import write_config_file
from tests.support.planner_stand_in import ECHO, FITS, Answers, record


@pytest.fixture
def config_file(tmp_path):
    return lambda config: f"--config={write_config_file(tmp_path, config)}"


@pytest.fixture
def fake_compiler(monkeypatch, tmp_path):
    monkeypatch.setattr(plans, "Compiler", lambda: Answers(tmp_path, ECHO))


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
        (["--topology=v5e:4x4", "--write=new.py"], "--write: expected with --search and one"),
        (["--topology=v5e:4x4,v5e:2x2", "--search", "--write=new.py"], "and one --topology"),
        (["--topology=v5e:4x4", "--search", "--write=new.txt"], "a Python file (.py)"),
        (["--topology=v5e:4x4", "--search", f"--write={__file__}"], "exists; delete it"),
        (["--topology=v5e:4x4", "--search", "--write=none/new.py"], "no such folder: none"),
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
    assert plan.main([config_file(record()), "--topology=v5e:4x4", "--steps=3600"]) == 2
    assert "the config has train.num_steps" in capsys.readouterr().err


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
    monkeypatch.setattr(plans, "Compiler", lambda: Answers(tmp_path, program))
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


def test_a_search_is_written_as_a_config(config_file, monkeypatch, tmp_path, capsys):
    """The same config, but for the setting that the search shows and the override."""
    monkeypatch.setattr(
        plans, "Compiler", lambda: Answers(tmp_path, SEARCHED.replace("MEMORY", "3"))
    )
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "made" / "fastest.py"
    target.parent.mkdir()
    arguments = ["--topology=v5e:2x2", "--search", "--config.train.num_steps=7", "--json"]
    planned = record(mesh__fsdp=-1)
    assert plan.main([config_file(planned), *arguments, f"--write={target}"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    setting = row["setting"]
    monkeypatch.chdir("/")  # the file finds its base from anywhere
    expected = record(
        mesh__fsdp=-1, train__num_steps=7, compute__remat="offload",
        train__accumulation_steps=setting["accumulation_steps"],
    )  # fmt: skip
    expected["mesh"] = dict(zip(("data", "fsdp", "tensor"), setting["mesh"], strict=True))
    assert read_config(target).to_dict() == expected
    lines = target.read_text().splitlines()
    assert lines[0].endswith("`semcoder plan --search` found for v5e:2x2.")
    assert f"    semcoder train --config={target} --workdir=DIR" in lines


def test_a_config_of_ours_stays_by_its_name_with_its_variant(tmp_path):
    target = tmp_path / "fastest.py"
    setting = Setting((2, 4, 1), 2, "none")
    made = SimpleNamespace(
        step=FITS, setting=setting, roofline=None, topology=SimpleNamespace(name="v5e:2x4")
    )
    write_config(target, "configs/lora_6p7b.py:1.3b", {"seed": 3}, plan=made)
    found, base = read_config(target), read_config("configs/lora_6p7b.py:1.3b")
    assert dict(found.mesh) == {"data": 2, "fsdp": 4, "tensor": 1} and found.seed == 3
    assert found.model == base.model and found.lora == base.lora


def test_nothing_is_written_if_nothing_fits(config_file, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    program = SEARCHED.replace("MEMORY", "50")
    monkeypatch.setattr(plans, "Compiler", lambda: Answers(tmp_path, program))
    arguments = ["--topology=v5e:2x2", "--search", "--write=fastest.py"]
    assert plan.main([config_file(record()), *arguments]) == 2
    assert "no setting fits v5e:2x2; nothing is written" in capsys.readouterr().err
    assert not (tmp_path / "fastest.py").exists()


def test_a_search_where_even_the_least_is_too_much_compiles_nothing(
    config_file, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    program = SEARCHED.replace("MEMORY", "50")
    monkeypatch.setattr(plans, "Compiler", lambda: Answers(tmp_path, program))
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
        progress = plans.CompileProgress(stream)
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

    monkeypatch.setattr(plans, "Compiler", lambda: Interrupted(tmp_path, ECHO))
    assert plan.main([config_file(record()), "--topology=v5e:4x4"]) == 130
    assert "the same command goes on" in capsys.readouterr().err.splitlines()[-1]
