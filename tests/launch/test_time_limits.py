"""Tests that a program of the cloud that does not answer, or answers nonsense, is one line."""

import time

import pytest

from launch import gcloud
from launch.errors import CommandFailed
from launch.gcloud import CloudError, Gcloud
from launch.shell import Shell


def program(folder, text):
    """Puts a `gcloud` of `text` on a PATH of its own."""
    path = folder / "gcloud"
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


@pytest.mark.parametrize("answer", ["[]", '"ACTIVE"', "3", "no JSON", ""])
def test_nonsense_is_no_description(tmp_path, answer):
    with pytest.raises(CloudError, match="describes a in no JSON"):
        Gcloud(program(tmp_path, f"printf '%s' '{answer}'"), "z", None).describe("tpu-vm", "a")
