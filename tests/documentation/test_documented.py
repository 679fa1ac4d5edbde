"""Tests what README and docs show: commands exist, Python runs, messages and links are real."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_parsers import mistake
from tests.support.documented_commands import (
    COMMANDS,
    PAGES,
    REPOSITORY,
    block_lines,
    blocks,
    module_of,
    shown_commands,
    words_of,
)

# Programs that are not ours, or come with Python, or read no flags with a parser of ours.
FOREIGN = {"venv", "pip", "pytest", "MODULE", "…", "docs.rooms"}
FOREIGN |= {"semcoder_jax.integrations.lm_eval_model"}  # lm-evaluation-harness reads its flags


def test_there_are_commands_to_check():
    assert len(shown_commands()) > 100


def test_every_command_shown_is_read_by_its_own_parser():
    """Commands of blocks must be whole; a text may mention a flag without the others."""
    whole = {words_of(line) for _, line in block_lines()}
    wrong = []
    for shown in shown_commands():
        if shown.words[0] == "semcoder" and shown.words[1] not in {*COMMANDS, "COMMAND", "--help"}:
            wrong.append(f"{shown}: no such command")
        target = module_of(shown.words)
        if target is None or target[0] in FOREIGN:
            continue
        module, words = target
        words = [word for word in words if word not in ("…", "...")]
        said = mistake(module, words, complete=shown.words in whole)
        wrong += [f"{shown}: {said}"] if said else []
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "complete", "said"),
    [
        ("semcoder verify --jsonl=F", True, None),
        ("semcoder verify --jsnl=F", True, "--jsnl"),
        ("semcoder run --program=F.py --cpu_seconds=N", False, None),
        ("semcoder trace F.py --cpu_seconds=1", False, "--cpu_seconds"),  # a flag of `run`
        ("semcoder export --checkpoint=D --output=E --adapter", True, None),
        ("semcoder export --checkpoint=D --adapter", True, "--output"),
        ("semcoder import --source=D --adapter", False, "--adapter"),  # a flag of `export`
        ("semcoder export --dtype=int3", False, "int3"),
        ("semcoder train --config=C.py --workdir=d --config.train.num_steps=900", True, None),
        ("semcoder train --config=C.py --workdir=d --config.train.steps=1", True, "steps"),
        ("python -m semcoder_jax.train --confg=c", False, "confg"),
        ("semcoder train --config=C.py", True, "workdir"),
        ("semcoder plan --topolgy=v5e:1x1", False, "topolgy"),
        ("semcoder evaluate check --max_tasks=3", True, None),
        ("semcoder evaluate --max_tasks=3", False, "max_tasks"),
        ("semcoder launch --zone=Z --tpu=T -- --config=C --workdir=W", True, None),
        ("semcoder launch --zone=Z -- --config=C --workdir=W", True, "--tpu"),
    ],
)
def test_a_parser_reads_its_own_flags_and_no_others(line, complete, said):
    module, words = module_of(words_of(line))
    found = mistake(module, words, complete=complete)
    assert said in found if said else found is None


def test_every_script_shown_exists():
    missing = {
        str(shown)
        for shown in shown_commands()
        if shown.words[:1] in (("bash",), ("python",))
        for word in shown.words[1:2]
        if word.endswith((".sh", ".py")) and not (REPOSITORY / word).is_file()
    }
    assert missing == set()


@pytest.mark.parametrize(
    "block", [block for block in blocks("python") if not block.needs_model], ids=str
)
def test_every_python_block_runs(block, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", block.text],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and done.stdout.strip(), f"{block}: {done.stderr}"


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


def test_the_reference_lists_the_public_api():
    page = (REPOSITORY / "docs" / "reference.md").read_text(encoding="utf-8")
    members = re.findall(r"members: \[(.+)\]", page)
    listed = {name.strip() for group in members for name in group.split(",")}
    listed |= {path.rpartition(".")[2] for path in re.findall(r"^::: (\S+)$", page, re.M)}
    public = {*public_names("__init__"), *public_names("api"), *public_names("data")}
    assert len(public) > 15 and public <= listed


def public_names(module: str) -> list[str]:
    """`__all__` of a module of semcoder_jax, from its source."""
    tree = ast.parse((REPOSITORY / "semcoder_jax" / f"{module}.py").read_text(encoding="utf-8"))
    [names] = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return ast.literal_eval(names)


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
