"""Tests pod configs: names of Google Cloud, workdirs, and what the shipped files say."""

import dataclasses

import pytest

from launch.cost import cost_lines
from launch.errors import LaunchError
from launch.pod_config import accelerator_type, check_training, parse_pod, runtime_version
from semcoder_jax.commands.plan import parse_arguments as plan_arguments
from semcoder_jax.planner.compiler import Compiler
from semcoder_jax.planner.plans import make_plans
from semcoder_jax.planner.topologies import parse
from tests.support.planner_stand_in import FITS

QUEUED = {"way": "queued_resource", "name": "a", "zone": "z", "topology": "v5e:4x4"}


@pytest.mark.parametrize(  # Google Cloud's page on each version lists these pairs
    ("topology", "accelerator", "runtime"),
    [
        ("v5e:1x1", "v5litepod-1", "v2-alpha-tpuv5-lite"),
        ("v5e:4x4", "v5litepod-16", "v2-alpha-tpuv5-lite"),
        ("v5e:16x16", "v5litepod-256", "v2-alpha-tpuv5-lite"),
        ("v6e:2x4", "v6e-8", "v2-alpha-tpuv6e"),
        ("v5p:2x2x1", "v5p-8", "v2-alpha-tpuv5"),
        ("v5p:2x2x2", "v5p-16", "v2-alpha-tpuv5"),
        ("v4:2x2x1", "v4-8", "tpu-ubuntu2204-base"),
        ("v4:4x4x4", "v4-128", "tpu-ubuntu2204-base"),
        ("v3:2x2", "v3-8", "tpu-ubuntu2204-base"),
        ("v2:4x4", "v2-32", "tpu-ubuntu2204-base"),
    ],
)
def test_names_of_slices_are_google_clouds(topology, accelerator, runtime):
    for slices in (1, 3):  # the name is that of one slice
        assert accelerator_type(parse(topology, slices)) == accelerator
    assert runtime_version(parse(topology)) == runtime


@pytest.mark.parametrize(
    "workdir", ["gs://b/run", "gs://b", "/mnt/disk/run", "/mnt/disk", "/mnt/disk/a b"]
)
def test_workdirs_that_all_workers_share(workdir):
    check_training([f"--workdir={workdir}", "--config=c.py"], ["/mnt/disk/"])


@pytest.mark.parametrize(
    "workdir",
    ["run", "./run", "/tmp/run", "/mnt/disk2/run", "/mnt/disk/../run", "gs:/b/run", "gs://", "~/r",
     "mnt/disk/run", "ftp://b/r", "s3://b/r"],
)  # fmt: skip
def test_workdirs_of_one_worker_are_refused(workdir):
    with pytest.raises(LaunchError, match=r"--workdir=.* expected gs://BUCKET/RUN"):
        check_training([f"--workdir={workdir}", "--config=c.py"], ["/mnt/disk"])


@pytest.mark.parametrize("argument", ["--steps=3", "--confg.a=1", "a", "--config.a b", "-x"])
def test_arguments_that_training_does_not_take_are_refused(argument):
    with pytest.raises(LaunchError, match="unexpected argument"):
        check_training(["--config=c.py", "--workdir=gs://b/r", argument], [])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"zone": None}, "pod.zone is missing"),
        ({"way": None}, "pod.way is None, expected one of"),
        ({"topology": None}, "pod.topology is missing"),
        ({"topology": None, "accelerator_type": "v5p-8"}, "pod.runtime_version is missing"),
        ({"slices": "2"}, "pod.slices is '2', expected int"),
        ({"poll_seconds": 0}, "pod.poll_seconds is 0"),
        ({"max_restarts": -1}, "pod.max_restarts is -1"),
        ({"setup": [1]}, "pod.setup has 1, expected texts"),
        ({"name": "-x"}, "pod.name is '-x'"),
        ({"zoen": "z"}, "unknown field pod.zoen; did you mean zone?"),
    ],
)
def test_mistakes_name_the_field(change, told):
    with pytest.raises(LaunchError) as error:
        parse_pod(QUEUED | change)
    assert told in str(error.value)


def test_a_type_of_cloud_may_stand_in_place_of_a_topology():
    pod = parse_pod(
        QUEUED | {"topology": None, "accelerator_type": "v5p-8", "runtime_version": "v2-alpha"}
    )
    assert pod.place() is None
    assert cost_lines(None, (), None)[0].startswith("chips: not known")


TRAINING = ("--config=configs/lora_6p7b.py:1.3b", "--workdir=gs://b/r")


@pytest.fixture
def compiler(monkeypatch):
    """A compiler that has compiled one step, `compiler(step)`, or nothing."""

    def answer(step):
        monkeypatch.setattr("semcoder_jax.planner.compiler.libtpu_version", lambda: "0.0")
        monkeypatch.setattr(Compiler, "read_cached", lambda *_: step)

    return answer


def test_chip_hours_are_those_of_the_plan(compiler):
    compiler(FITS)
    place = parse("v5e:2x2", 2)
    words = [TRAINING[0], "--config.mesh.data=2"]
    [plan] = make_plans(plan_arguments([*words, f"--topology={place.name}"])[0], [place])
    hours = 1000 * plan.roofline.step_seconds / 3600
    line, calibrated = cost_lines(place, [*words, TRAINING[1]], 1000)
    assert line.startswith(f"8 chips (v5e:2x2x2slices) x {hours:,.1f} h = {8 * hours:,.0f} chip-")
    assert "ESTIMATE" in line
    # Published runs on a v5e reach 69.9 to 83.1 % of the roofline.
    low, high = (f"{8 * hours / share:,.0f}" for share in (0.831, 0.699))
    assert f"{low} to {high} chip-hours (published runs reach 70% to 83%" in calibrated
    assert f"{hours / 0.831:,.1f} to {hours / 0.699:,.1f} h" in calibrated
    [line] = cost_lines(place, [*words, TRAINING[1]], None)
    assert "the config counts epochs; --steps=N" in line


def test_without_a_plan_the_command_that_makes_one_is_named(compiler):
    compiler(None)
    [line] = cost_lines(parse("v5e:2x2"), TRAINING, 1000)
    assert "4 chips (v5e:2x2) for as long as training takes; no estimate: semcoder plan" in line
    assert "--config=configs/lora_6p7b.py:1.3b --topology=v5e:2x2 makes one" in line


def test_a_step_that_does_not_fit_is_told(compiler):
    compiler(dataclasses.replace(FITS, fits=False))
    assert "does not fit" in cost_lines(parse("v5e:2x2"), TRAINING, 1000)[0]
