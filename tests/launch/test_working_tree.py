"""Tests which files travel to the workers; git itself is the oracle."""

import subprocess
import tarfile

import pytest

from launch.errors import LaunchError
from launch.working_tree import check_committed, pack


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    for name, text in {
        ".gitignore": "ignored/\n*.log\n", "kept.py": "1\n", "edited.py": "1\n", "gone.py": "1\n",
        "a folder/ümlaut.py": "1\n",
    }.items():  # fmt: skip
        write(folder / name, text)
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    return folder


def git(folder, *words):
    return subprocess.run(
        ["git", "-C", str(folder), *words], check=True, capture_output=True, text=True
    ).stdout


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def contents(archive):
    with tarfile.open(archive) as packed:
        return {
            entry.name: entry.linkname if entry.issym() else packed.extractfile(entry).read()
            for entry in packed
        }


def test_edits_and_new_files_travel_and_ignored_ones_do_not(checkout, tmp_path):
    write(checkout / "edited.py", "2\n")
    write(checkout / "new.py", "3\n")
    write(checkout / "ignored" / "data.py", "4\n")
    write(checkout / "run.log", "5\n")
    (checkout / "gone.py").unlink()
    (checkout / "link.py").symlink_to("kept.py")
    git(checkout, "add", "new.py")
    assert pack(tmp_path / "a.tar.gz", checkout) == 6
    assert contents(tmp_path / "a.tar.gz") == {
        ".gitignore": b"ignored/\n*.log\n", "kept.py": b"1\n", "edited.py": b"2\n",
        "new.py": b"3\n", "a folder/ümlaut.py": b"1\n", "link.py": "kept.py",
    }  # fmt: skip


def test_the_owner_does_not_travel(checkout, tmp_path):
    pack(tmp_path / "a.tar.gz", checkout)
    with tarfile.open(tmp_path / "a.tar.gz") as packed:
        assert {(entry.uid, entry.uname) for entry in packed} == {(0, "")}


@pytest.mark.parametrize(
    ("name", "text"), [("edited.py", "2\n"), ("new.py", "3\n"), ("a folder/ümlaut.py", "2\n")]
)
def test_committed_names_what_differs(checkout, name, text):
    check_committed(checkout)
    write(checkout / "ignored" / "data.py", "4\n")
    check_committed(checkout)
    write(checkout / name, text)
    with pytest.raises(LaunchError, match=name):
        check_committed(checkout)
    git(checkout, "add", "-A")
    with pytest.raises(LaunchError, match=name):
        check_committed(checkout)


def test_committed_names_a_deleted_file_and_counts_the_rest(checkout):
    (checkout / "gone.py").unlink()
    for number in range(7):
        write(checkout / f"new{number}.py", "1\n")
    with pytest.raises(LaunchError, match=r"gone\.py, .*new3\.py and 3 more differ"):
        check_committed(checkout)


def test_data_that_git_does_not_ignore_is_refused_by_name(checkout, tmp_path):
    write(checkout / "weights.bin", "x" * 2**20)
    with pytest.raises(LaunchError, match=r"1 MB in files .* at most 0.5 MB .* weights\.bin, "):
        pack(tmp_path / "a.tar.gz", checkout, most_megabytes=0.5)
    assert not (tmp_path / "a.tar.gz").exists()


def test_a_folder_without_git_is_told(tmp_path):
    with pytest.raises(LaunchError, match="git cannot list the files"):
        pack(tmp_path / "a.tar.gz", tmp_path)
