"""Tests that a full disk is one line, whichever library meets it, and that work goes on after."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from data_pipeline.files import write_bytes
from data_pipeline.terminal.command_line import run_command
from data_pipeline.terminal.full_disk import describe_full_disk
from tests.support.small_disk import mount_small_disk

REPOSITORY = Path(__file__).parents[2]
FULL = os.strerror(errno.ENOSPC)


def chained(first, second):
    try:
        try:
            raise first
        except Exception as error:
            raise second from error
    except Exception as error:
        return error


@pytest.mark.parametrize(
    ("error", "path"),
    [
        (OSError(errno.ENOSPC, FULL, "/tmp/a b"), "/tmp/a b: "),
        (OSError(errno.ENOSPC, FULL), ""),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), b"/x"), "/x: "),
        (RuntimeError(f"write() failed: {FULL}; writing /d/f.record; at byte 3"), "/d/f.record: "),
        (ValueError(f'RESOURCE_EXHAUSTED: Error writing "/d/f": {FULL}'), "/d/f: "),
        (chained(OSError(errno.ENOSPC, FULL, "/d"), RuntimeError("job failed")), "/d: "),
        (ExceptionGroup("two", [ValueError("x"), OSError(errno.ENOSPC, FULL, "/d")]), "/d: "),
    ],
)
def test_each_form_is_recognized(error, path, capsys):
    found = describe_full_disk(error)
    reason = os.strerror(error.errno) if getattr(error, "errno", None) else FULL
    assert found.startswith(f"{path}{reason}")
    assert "bytes free" in found if path else found == reason

    def fail(_):
        raise error

    assert run_command(fail, []) == 2
    # Other programs write to the disk meanwhile.
    free = re.compile(r"[\d,.]+ (?=\w*B free|bytes free)")
    assert free.sub("", capsys.readouterr().err) == free.sub("", f"error: {found}\n")


def test_a_device_has_no_free_bytes(capsys):
    def write(_):
        write_bytes("/dev/full", b"12345")

    assert run_command(write, []) == 2
    assert capsys.readouterr().err == f"error: /dev/full: {FULL} (needed 5 bytes)\n"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("RESOURCE_EXHAUSTED: out of memory while trying to allocate 8 bytes"),
        OSError(errno.EIO, os.strerror(errno.EIO)),
        KeyError("/d/space left"),
        chained(ValueError("a"), KeyError("b")),
    ],
)
def test_other_errors_keep_their_traceback(error):
    def fail(_):
        raise error

    assert describe_full_disk(error) is None
    with pytest.raises(type(error)):
        run_command(fail, [])


def test_a_cycle_of_causes_ends():
    one, other = ValueError("one"), ValueError("other")
    one.__context__, other.__context__ = other, one
    assert describe_full_disk(one) is None


@pytest.fixture
def small_disk(tmp_path):
    """(folder, function that resizes its file system), for root only."""
    with mount_small_disk(tmp_path / "disk", "700k") as resize:
        yield tmp_path / "disk", resize


@pytest.mark.slow
def test_training_on_a_disk_that_fills_goes_on_when_there_is_room(small_disk, tmp_path):
    from tests.support.tiny_run import tiny_config, write_data

    folder, resize = small_disk
    config = tmp_path / "config.py"
    fields = tiny_config(write_data(tmp_path / "data"))
    config.write_text(
        "from ml_collections import ConfigDict\n"
        f"def get_config():\n    return ConfigDict({fields})\n"
    )
    command = [sys.executable, "-m", "semcoder_jax.train", f"--config={config}"]
    command.append(f"--workdir={folder / 'run'}")

    def train():
        return subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=REPOSITORY)

    ended = train()
    last = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode == 2 and "Traceback" not in ended.stderr, ended.stderr
    assert last.startswith("error: ") and FULL in last and "bytes free" in last
    resize("20m")
    ended = train()
    assert ended.returncode == 0, ended.stderr
    assert "step 12/12" in ended.stderr
