"""Tests that a build on a disk that fills ends in one line, and that the same command goes on."""

import errno
import os

import pytest

from data_pipeline.builder.full_disk import full_disk_errors
from data_pipeline.commands.build import main
from data_pipeline.errors import UserError
from data_pipeline.files import FileError
from data_pipeline.pyx import folders
from tests.support.small_disk import mount_small_disk
from tests.support.tiny_sources import FILES


@pytest.mark.slow
def test_at_every_stage_it_is_one_line_and_the_same_command_goes_on(tmp_path, capsys):
    source = tmp_path / "numbers_.py"
    source.write_text(FILES["numbers_.py"])
    arguments = [f"--source={source}", "--inputs=2", "--faults=1"]
    disk = tmp_path / "disk"
    output = disk / "out"
    dataset = folders.folder_of(output)
    kept: set[str] = set()
    with mount_small_disk(disk, "16k") as resize:
        for size in ("16k", "40k", "120k"):  # each stage writes more than the one before
            resize(size)
            assert main([*arguments, f"--output={output}"]) == 2
            error = capsys.readouterr().err.splitlines()[-1]
            assert error.startswith(f"error: {disk}")
            assert error.endswith("run the same command again to continue")
            assert os.strerror(errno.ENOSPC) in error and "bytes free" in error
            assert not dataset.exists()
            groups = {path.name for path in output.glob(".work/rows/*.json")}
            assert kept <= groups
            kept = groups
        resize("20m")
        assert main([*arguments, f"--output={output}"]) == 0
        assert main([*arguments, f"--output={tmp_path / 'at_once'}"]) == 0
        for path in (*dataset.iterdir(), output / "train.jsonl"):
            other = tmp_path / "at_once" / path.relative_to(output)
            assert path.read_bytes() == other.read_bytes()


def test_a_full_disk_is_known_from_any_librarys_error(tmp_path):
    full = os.strerror(errno.ENOSPC)
    for error in (
        OSError(errno.ENOSPC, full, f"{tmp_path}/rows.json"),
        FileError(errno.ENOSPC, f"{full} (needed 3 bytes)", f"{tmp_path}/rows.json"),
        RuntimeError(f"write() failed: {full}"),
    ):
        expected = pytest.raises(UserError, match=f"^{tmp_path}.*: {full}.*; free some space")
        with expected as raised, full_disk_errors(tmp_path):
            raise error
        assert str(raised.value).count("\n") == 0
    with pytest.raises(KeyError), full_disk_errors(tmp_path):
        raise KeyError("another error")
