"""Tests what README and docs show: commands exist, Python runs, messages and links are real."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documented_commands import (
    COMMANDS,
    PAGES,
    REPOSITORY,
    flags_of,
    module_of,
    python_blocks,
    shown_commands,
    source_of,
)

# Programs that are not ours, or come with Python.
FOREIGN = {"venv", "pip", "pytest", "MODULE", "…"}
OUTPUT_FLAG = re.compile(r"--(?:config|pipeline)\.")


def known(word: str, flags: frozenset[str]) -> bool:
    flag = word.partition("=")[0]
    return (
        not flag.startswith("--") or flag == "--" or flag in flags or bool(OUTPUT_FLAG.match(flag))
    )


def test_there_are_commands_to_check():
    assert len(shown_commands()) > 100


def test_every_command_shown_exists_with_its_flags():
    wrong = []
    for shown in shown_commands():
        if shown.words[0] == "semcoder" and shown.words[1] not in {*COMMANDS, "COMMAND", "--help"}:
            wrong.append(f"{shown}: no such command")
        target = module_of(shown.words)
        if target is None or target[0] in FOREIGN:
            continue
        module, words = target
        flags = flags_of(module) | {"--help"}
        # What follows -- is read by another command.
        words = words[: words.index("--")] if "--" in words else words
        wrong += [f"{shown}: unknown {word}" for word in words if not known(word, flags)]
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "fine"),
    [
        ("semcoder verify --jsonl=F", True),
        ("semcoder verify --jsnl=F", False),
        ("semcoder export --checkpoint=D --adapter", True),
        ("python -m semcoder_jax.train --config=c --workdir=d --config.a.b=1", True),
        ("python -m semcoder_jax.train --confg=c", False),
        ("semcoder plan --topolgy=v5e:1x1", False),
    ],
)
def test_the_check_of_flags_sees_a_misspelling(line, fine):
    module, words = module_of(tuple(line.split()))
    assert all(known(word, flags_of(module)) for word in words) == fine


def test_every_script_shown_exists():
    missing = {
        str(shown)
        for shown in shown_commands()
        if shown.words[:1] in (("bash",), ("python",))
        for word in shown.words[1:2]
        if word.endswith((".sh", ".py")) and not (REPOSITORY / word).is_file()
    }
    assert missing == set()


@pytest.mark.parametrize(("place", "source"), python_blocks(), ids=lambda text: text[:30])
def test_every_python_block_runs(place, source, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and done.stdout.strip(), f"{place}: {done.stderr}"


def code_texts() -> list[str]:
    """The source of every module, neighbouring strings joined as Python joins them."""
    files = [
        path
        for package in ("data_pipeline", "semcoder_jax")
        for path in (REPOSITORY / package).rglob("*.py")
    ]
    return [
        re.sub(r"""["']\s*\n\s*f?["']""", "", path.read_text(encoding="utf-8")) for path in files
    ]


def test_every_message_of_the_troubleshooting_page_is_one_of_the_code():
    page = (REPOSITORY / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    shown = re.findall(r"^### `(.+)`$", page, re.M)
    texts = code_texts()
    absent = [message for message in shown if not any(map(pattern(message).search, texts))]
    assert len(shown) > 20 and absent == []


def pattern(message: str) -> re.Pattern[str]:
    """Finds a message in source: what … stands for is a hole of an f-string, or %s."""
    parts = [re.escape(part) for part in message.strip("… ").split("…")]
    return re.compile(r"(?:\{[^}]*\}|%s|[^\n]{0,60}?)".join(parts))


def test_a_message_that_no_code_prints_is_noticed():
    assert not any(map(pattern("mesh: … needs … TPUs, found …").search, code_texts()))


def anchors(path: Path) -> set[str]:
    """Headings as GitHub and MkDocs name them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [page for page in PAGES if page.suffix == ".md"], ids=str)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.S)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


def test_the_flags_read_are_those_of_the_source():
    """An oracle by hand: three flags of the tracer, read from its own file."""
    text = source_of("data_pipeline.commands.trace").read_text(encoding="utf-8")
    flags = flags_of("data_pipeline.tracing")
    assert {"--view", "--steps", "--tier"} <= flags and '"--view"' in text


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path):
    pytest.importorskip("mkdocs", reason="needs the docs extra: pip install -e '.[docs]'")
    pytest.importorskip("mkdocstrings", reason="needs the docs extra: pip install -e '.[docs]'")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},  # the theme's, about another program
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert len(list(tmp_path.rglob("index.html"))) >= 18
