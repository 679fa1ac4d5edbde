"""Tests that a program of the cloud that does not answer, or answers nonsense, is one line."""

import time

import pytest

from launch import gcloud
from launch.errors import CommandFailed, LaunchError
from launch.gcloud import CloudError, Gcloud
from launch.jobset import JobSet
from launch.managed_job import Sky
from launch.shell import Shell
from launch.ways.queued_resource import _initiator, _state


def program(folder, text, name="gcloud"):
    """Puts a program of `text` on a PATH of its own."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return Shell(variables={"PATH": f"{folder}:/usr/bin:/bin"})


def test_a_program_that_hangs_is_ended():
    began = time.monotonic()
    with pytest.raises(CommandFailed, match=r"^sh -c .* has not ended in 0\.2 s$"):
        Shell().ask("sh", "-c", "sleep 60 & wait", limit=0.2)
    assert time.monotonic() - began < 30


def test_a_silent_cloud_is_an_error_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setitem(gcloud.LIMITS, "describe", 0.2)
    with pytest.raises(CloudError, match=r"has not ended in 0\.2 s") as raised:
        Gcloud(program(tmp_path, "exec sleep 60"), "z", None).describe("tpu-vm", "a")
    assert raised.value.cause == "other" and "\n" not in str(raised.value)


BAD_REQUEST = """Create request issued for: [a]
ERROR: (gcloud.compute.tpus.tpu-vm.create) INVALID_ARGUMENT: Cloud TPU received a bad request.
- '@type': type.googleapis.com/google.rpc.BadRequest
  fieldViolations:
  - description: the accelerator v5e-3 was not offered
    field: node.accelerator_type"""
UNKNOWN_FLAG = """ERROR: (gcloud.compute.tpus.tpu-vm.create) unrecognized arguments:
  --zoned=z (did you mean '--zone'?)

To search the help text of gcloud commands, run:
  gcloud help -- SEARCH_TERMS"""
CRASH = """ERROR: gcloud crashed (OSError): no space left

If you would like to report this issue, please run the following command:
  gcloud feedback"""


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        (
            BAD_REQUEST,
            "gcloud refuses the arguments (INVALID_ARGUMENT: Cloud TPU received a bad request. "
            "fieldViolations: - description: the accelerator v5e-3 was not offered "
            "field: node.accelerator_type)",
        ),
        (
            UNKNOWN_FLAG,
            "gcloud refuses the arguments (unrecognized arguments: --zoned=z (did you mean "
            "'--zone'?))",
        ),
        (CRASH, "failed: gcloud crashed (OSError): no space left"),
        ("ERROR: (gcloud.a) one\nERROR: (gcloud.b) two", "failed: one two"),
        ("a\nb\nc\nlast", "failed: b c last"),
        ("ERROR: x\n" + "far " * 1000, "failed: x" + " far" * 99 + " fa …"),
    ],
)
def test_an_error_of_gcloud_keeps_what_failed(stderr, said):
    error = gcloud.explain(CommandFailed("", ("gcloud",), 1, stderr), "tpu-vm create", "a")
    assert str(error).removeprefix("tpu-vm create a").lstrip(": ") == said


@pytest.mark.parametrize("answer", ["[]", '"ACTIVE"', "3", "no JSON", ""])
def test_nonsense_is_no_description(tmp_path, answer):
    with pytest.raises(CloudError, match="describes a in no JSON"):
        Gcloud(program(tmp_path, f"printf '%s' '{answer}'"), "z", None).describe("tpu-vm", "a")


@pytest.mark.parametrize("answer", ["[]", "no JSON", '{"items": 3}', '{"items": [{"a": 1}]}', "3"])
def test_nonsense_of_kubectl_is_one_line(tmp_path, answer):
    jobs = JobSet(program(tmp_path, f"printf '%s' '{answer}'", "kubectl"), "a", "default", "tpu")
    with pytest.raises(LaunchError, match=r"^kubectl get pods: expected JSON as documented"):
        jobs.read_pods()
    if "items" not in answer:  # a JobSet may lack any field
        with pytest.raises(LaunchError, match=r"^kubectl get jobset: expected JSON as documented"):
            jobs.read_state()


@pytest.mark.parametrize(
    "answer", ["no JSON", "[3]", '[{"job_name": "a"}]', '[{"job_name": "a", "job_id": "x"}]']
)
def test_nonsense_of_sky_is_one_line(tmp_path, answer):
    jobs = Sky(program(tmp_path, f"printf '%s' '{answer}'", "sky"))
    with pytest.raises(LaunchError, match=r"^sky jobs queue") as raised:
        jobs.read_jobs("a")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("described", [{"state": "ACTIVE"}, {"state": ["ACTIVE"]}])
def test_a_state_of_another_shape_is_one_line(described):
    for read in (_state, _initiator):
        with pytest.raises(LaunchError, match="expected JSON as documented"):
            read(described)
