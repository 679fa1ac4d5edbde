"""Runs every `semcoder launch` that pages show, in a dry run, with the fake cloud on PATH."""

import re
import shlex

import pytest

from tests.support.documented_commands import REPOSITORY, block_lines
from tests.support.launching import make_launcher

SPELLINGS = ("semcoder launch ", "bash launch/pod.sh ")
VALUES = {
    "NAME": "name1", "ZONE": "us-west4-a", "CLUSTER": "cluster1",
    "IMAGE": "us-docker.pkg.dev/project/images/pod", "FILE.py": "configs/semcoder_6p7b.py",
}  # fmt: skip
SHOWN = [
    (page, line)
    for page, line in block_lines()
    if line.startswith(SPELLINGS) and not line.startswith("semcoder launch local")
]


def words_of_launch(line):
    for spelling in SPELLINGS:
        line = line.removeprefix(spelling)
    return shlex.split(re.sub("|".join(VALUES), lambda match: VALUES[match[0]], line))


@pytest.mark.parametrize(("page", "line"), SHOWN, ids=[f"{page}: {line}" for page, line in SHOWN])
def test_a_documented_launch_is_read_and_names_its_commands(
    page, line, tmp_path, monkeypatch, capfd
):
    launch = make_launcher(tmp_path, monkeypatch, capfd)
    words = words_of_launch(line)
    for word in words:  # configs of the checkout, wherever it stands
        if word.startswith("--config=configs/"):
            assert (REPOSITORY / word.removeprefix("--config=").partition(":")[0]).is_file()
    done = launch("--dry_run", *words)
    assert done.status == 0, done.text
    assert re.search(r"^\+ (gcloud|xpk|sky) ", done.output, re.M), done.output
    assert launch.cloud.calls() == []


def test_pages_show_every_way():
    pods = {path.stem for path in (REPOSITORY / "launch" / "pods").glob("*.py")}
    shown = {match for _, line in SHOWN for match in re.findall(r"launch/pods/(\w+)\.py", line)}
    assert pods == shown
