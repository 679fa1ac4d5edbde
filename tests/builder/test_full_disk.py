"""Tests that a build on a disk that fills ends in one line, and that the same command goes on."""

import errno
import os
import resource

import pytest

from data_pipeline.builder.full_disk import full_disk_errors
from data_pipeline.commands.build import main
from data_pipeline.errors import UserError
from data_pipeline.files import FileError
from data_pipeline.pyx import folders
from tests.support.tiny_sources import FILES


@pytest.fixture
def small_files():
    """Returns a function that limits the size of every file that this process writes."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


@pytest.mark.slow
def test_at_every_stage_it_is_one_line_and_the_same_command_goes_on(tmp_path, small_files, capsys):
    source = tmp_path / "numbers_.py"
    source.write_text(FILES["numbers_.py"])
    arguments = [f"--source={source}", "--inputs=2", "--faults=1"]
    output = tmp_path / "out"
    dataset = folders.folder_of(output)
    kept: set[str] = set()
    # The seeds, a group of rows, and the dataset are each larger than the one before.
    for size, made in ((1_000, None), (4_000, "seeds"), (20_000, "rows")):
        small_files(size)
        assert main([*arguments, f"--output={output}"]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"error: {tmp_path}")
        assert error.endswith("run the same command again to continue")
        assert os.strerror(errno.EFBIG) in error
        assert made is None or list((output / ".work" / made).iterdir())
        assert not dataset.exists()
        groups = {path.name for path in output.glob(".work/rows/*.json")}
        assert kept <= groups
        kept = groups
    assert kept
    small_files(resource.RLIM_INFINITY)
    assert main([*arguments, f"--output={output}"]) == 0
    assert main([*arguments, f"--output={tmp_path / 'at_once'}"]) == 0
    for path in (*dataset.iterdir(), output / "train.jsonl"):
        other = tmp_path / "at_once" / path.relative_to(output)
        assert path.read_bytes() == other.read_bytes()


def test_a_full_disk_is_known_from_any_librarys_error(tmp_path):
    full = os.strerror(errno.ENOSPC)
    for error in (
        OSError(errno.ENOSPC, full, "x/rows.json"),
        FileError(errno.ENOSPC, f"{full} (needed 3 bytes)", "x/rows.json"),
        RuntimeError(f"write() failed: {full}; writing x/rows.json"),
    ):
        expected = pytest.raises(UserError, match=f"^{tmp_path}: .*{full}.*; free some space")
        with expected as raised, full_disk_errors(tmp_path):
            raise error
        assert str(raised.value).count("\n") == 0
    with pytest.raises(KeyError), full_disk_errors(tmp_path):
        raise KeyError("another error")
