"""Tests what the doctor concludes from versions, devices and sandboxes."""

import json
import sys

import pytest
from packaging.requirements import Requirement

from data_pipeline.execution.tiers import SandboxUnavailable, TierChoice
from semcoder_jax.doctor import __main__ as command
from semcoder_jax.doctor import machine, packages
from semcoder_jax.doctor.findings import BROKEN, LIMITED, OK, Finding

NEEDS = [Requirement("jax>=0.8,<0.13"), Requirement("flax>=0.12.6,<0.14")]


@pytest.mark.parametrize(
    ("extra", "versions", "state", "named"),
    [
        ("train", {"jax": "0.10.2", "flax": "0.12.8"}, OK, "2 in range"),
        ("train", {"jax": "0.13.0", "flax": "0.12.8"}, BROKEN, "jax 0.13.0"),
        ("train", {"jax": "0.12.1rc1", "flax": "0.12.6"}, OK, "2 in range"),
        ("train", {"jax": "0.10.2"}, LIMITED, "flax missing"),  # perhaps never wanted
        ("", {"jax": "0.10.2"}, BROKEN, "flax missing"),  # as if both were the core
        ("", {"jax": "0.7.9", "flax": "0.12.8"}, BROKEN, "expected <0.13,>=0.8"),
    ],
)
def test_versions_are_held_against_ranges(extra, versions, state, named):
    finding = packages.judge_layer(extra, NEEDS, versions.get)
    assert (finding.state, named in finding.found) == (state, True)
    assert bool(finding.advice) == (state != OK)


def test_an_extra_counts_what_it_adds_to_the_core():
    lines = [
        "numpy>=1.26",
        'jax>=0.8; extra == "train"',
        'semcoder-jax[train]; extra == "serve"',
        'uvicorn>=0.30; extra == "serve"',
        'tomli; python_version < "3"',
    ]
    requirements = list(map(Requirement, lines))
    names = {
        extra: [each.name for each in packages.own_requirements(requirements, extra)]
        for extra in ("", "train", "serve")
    }
    assert names == {"": ["numpy"], "train": ["jax"], "serve": ["uvicorn"]}


@pytest.mark.parametrize(
    ("devices", "state", "found"),
    [
        ([["cpu", "cpu", None]], LIMITED, "none"),
        ([["tpu", "TPU v5 lite", 17 * 2**30]] * 4, OK, "4 × TPU v5 lite (tpu), 17.0 GiB each"),
    ],
)
def test_devices_are_described(devices, state, found):
    finding = machine.describe_devices(devices)
    assert finding.state == state and finding.found.startswith(found)


def test_the_sandbox_says_what_would_raise_its_tier(monkeypatch):
    monkeypatch.setattr(machine, "probe", lambda setup: TierChoice("B", "no tier A: no bwrap"))
    finding = machine.examine_sandbox()
    assert (finding.state, finding.found) == (LIMITED, "tier B") and "bwrap" in finding.advice

    def fail(setup):
        raise SandboxUnavailable("Install bubblewrap")

    monkeypatch.setattr(machine, "probe", fail)
    assert machine.examine_sandbox().state == BROKEN


def test_a_jax_that_does_not_answer_or_start_is_broken(monkeypatch):
    monkeypatch.setattr(machine, "_ASK_JAX", "import time; time.sleep(60)")
    monkeypatch.setattr(machine, "DEVICE_SECONDS", 0.5)
    assert machine.examine_accelerators().state == BROKEN
    monkeypatch.setattr(machine, "DEVICE_SECONDS", 60)
    monkeypatch.setattr(machine, "_ASK_JAX", "raise SystemExit('no TPU here')")
    finding = machine.examine_accelerators()
    assert (finding.state, finding.advice) == (BROKEN, "no TPU here")


def test_a_token_is_never_shown(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert "secret" not in repr(machine.examine_hub_token())


def test_a_cache_that_is_not_made_yet_is_no_fault(monkeypatch, tmp_path):
    monkeypatch.setenv("SEMCODER_CACHE", str(tmp_path / "a" / "b"))
    cache, disk = machine.examine_cache()
    assert cache.state == OK and "not made yet" in cache.found and "GiB free" in disk.found


@pytest.mark.parametrize(("state", "code"), [(OK, 0), (LIMITED, 0), (BROKEN, 1)])
def test_only_what_is_broken_fails(monkeypatch, capsys, state, code):
    rows = [Finding("a", OK, "x"), Finding("b", state, "y", "mend it")]
    monkeypatch.setattr(command, "examine", lambda: list(rows))
    assert command.main(["--json"]) == code
    assert [row["state"] for row in json.loads(capsys.readouterr().out)] == [OK, state]
    assert command.main([]) == code
    assert "b: mend it" in capsys.readouterr().out


@pytest.mark.parametrize(("status", "code"), [(0, 0), (1, 1)])
def test_the_check_of_benchmarks_counts(monkeypatch, capsys, status, code):
    monkeypatch.setattr(command, "examine", list)
    ran = []

    class Done:
        returncode = status

    monkeypatch.setattr(command.subprocess, "run", lambda argv, **_: ran.append(argv) or Done())
    assert command.main(["--benchmarks", "--json"]) == code
    assert ran == [[sys.executable, "-m", "semcoder_jax.evaluate", "check"]]
