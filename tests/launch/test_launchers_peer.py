"""Tests that xpk and SkyPilot themselves read what the launcher gives them.

They run in environments of their own (pip install xpk==1.16.0; pip install 'skypilot==0.14.1');
SEMCODER_XPK_PYTHON and SEMCODER_SKYPILOT_PYTHON name their interpreters. Nothing is created: xpk's
parser reads the command lines, and SkyPilot's Task the file.
"""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from launch import command
from launch.managed_job import format_task, make_task
from launch.pod_config import parse_pod, xpk_type
from launch.ways import Training
from semcoder_jax.planner.topologies import CHIPS, names, parse
from tests.launch.test_gke_xpk import GKE
from tests.support.launching import TRAINING

pytestmark = pytest.mark.peer
_PARSE = """
import argparse, json, sys
from xpk.parser.core import set_parser
parser = argparse.ArgumentParser(prog="xpk")
set_parser(parser=parser)
read = [vars(parser.parse_args(words)) for words in json.load(sys.stdin)]
print(json.dumps(read, default=str))
"""
_NAMES = """
import json
from xpk.core import system_characteristics as known
print(json.dumps(list(known.UserFacingNameToSystemCharacteristics)))
"""
_READ = """
import json, sys
from sky import task
read = task.Task.from_yaml(sys.argv[1])
print(json.dumps({
    "name": read.name, "num_nodes": read.num_nodes, "workdir": read.workdir, "run": read.run,
    "setup": read.setup, "envs": read.envs,
    "resources": sorted(
        [list(one.accelerators), one.accelerator_args, one.use_spot, one.zone, one.job_recovery]
        for one in read.resources
    ),
}))
"""


def asking(variable: str, home: Path):
    """Returns a function that runs a program in a peer's environment and returns its JSON."""
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"needs xpk or SkyPilot in an environment of its own: set {variable}")

    def ask(program: str, *words: str, text: str = ""):
        run = {"capture_output": True, "text": True, "timeout": 120}
        environment = os.environ | {"HOME": str(home)}
        done = subprocess.run([python, "-c", program, *words], input=text, env=environment, **run)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return ask


@pytest.fixture
def xpk(tmp_path):
    return asking("SEMCODER_XPK_PYTHON", tmp_path)


@pytest.fixture
def skypilot(tmp_path):
    return asking("SEMCODER_SKYPILOT_PYTHON", tmp_path)


def test_xpk_reads_its_commands(xpk, tmp_path, capfd):
    own = ("--pod.create_cluster=True", "--pod.spot=True", "--pod.variables={'A':'1','B':'x=y'}")
    assert command.main([*GKE, *own, "--pod.slices=2", "--dry_run", *TRAINING]) == 0
    lines = re.findall(r"^\+ xpk (.*)$", capfd.readouterr().out, re.M)
    folder = f"--script-dir={tmp_path}"  # xpk wants one that exists
    commands = [re.sub(r"--script-dir=\S+", folder, line) for line in lines]
    text = json.dumps([shlex.split(line) for line in commands])
    created, workload, deleted, removed = xpk(_PARSE, text=text)
    assert created["cluster"] == "c" and created["spot"] and created["num_slices"] == 2
    assert workload["command"].startswith("exec python -m launch.worker ")
    assert workload["env"] == ["A=1", "B=x=y"] and workload["restart_on_exit_codes"] == "1,75"
    assert workload["docker_name"] == "jax-tpu" and workload["base_docker_image"] == "r/i:1"
    assert deleted["workload"] == "semcoder" and removed["force"]


def test_xpk_has_every_slice_that_a_config_may_name(xpk):
    known = xpk(_NAMES)
    for chip in ("v4", "v5e", "v5p", "v6e", "tpu7x"):
        for name in names(CHIPS[chip]):
            topology = parse(name)
            if chip != "v5e" or topology.num_chips >= 8:
                assert xpk_type(topology) in known


def test_skypilot_reads_its_task(skypilot, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    pod = parse_pod(
        {"way": "skypilot", "name": "n", "topology": "v6e:4x4", "spot": True, "on_demand_too": True,
         "zones": ("us-east5-b",), "setup": ("export A=1",), "variables": {"B": 2}}
    )  # fmt: skip
    task = make_task(pod, Training(("--config=c", "--workdir=gs://b/r r"), "run"), folder)
    path = tmp_path / "task.yaml"
    path.write_text(format_task(task))
    read = skypilot(_READ, str(path))
    assert (read["name"], read["num_nodes"], read["envs"]) == ("n", 1, {"B": "2"})
    assert read["run"].endswith("--config=c '--workdir=gs://b/r r'")
    assert read["setup"].splitlines()[:2] == ["set -e", "export A=1"]
    slices = [[one[0], one[1], one[2], one[3]] for one in read["resources"]]
    version = {"tpu_vm": True, "runtime_version": "v2-alpha-tpuv6e"}
    expected = [[["tpu-v6e-16"], version, spot, "us-east5-b"] for spot in (False, True)]
    assert sorted(slices, key=str) == sorted(expected, key=str)
    assert all(one[4]["recover_on_exit_codes"] == [75] for one in read["resources"])
