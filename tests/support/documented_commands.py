"""Commands and Python blocks that README and docs show."""

import dataclasses
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from semcoder_jax.cli import COMMANDS

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *(REPOSITORY / "docs").glob("*.md"),
        *(REPOSITORY / "docs" / "studies").glob("*.md"),
        *REPOSITORY.glob("configs/*.py"),
        *REPOSITORY.glob("configs/reproduction/*.py"),
    ]
)
NEEDS_A_MODEL = "<!-- needs a model -->"
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.M | re.S)
_START = re.compile(r"(?:PYTHONPATH=\. )?(python -m|python|semcoder|bash)\s")


@dataclasses.dataclass(frozen=True)
class Shown:
    """A command as a page shows it: where, and its words."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page: its number there, its language, its text."""

    page: str
    number: int
    language: str
    text: str
    needs_model: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.number}"


def shown_commands() -> list[Shown]:
    """Every command of every page: lines of shell blocks and text between backquotes."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        inline = re.findall(r"`([^`\n]+)`", text)
        for line in [*text.splitlines(), *inline]:
            line = line.strip().strip("`")
            words = words_of(line) if _START.match(line) else ()
            if len(words) > 1 and words != ("python", "-m"):
                found.append(Shown(page.name, words))
    return found


def blocks(language: str) -> list[Block]:
    """The fenced blocks in a language of README and docs."""
    found = []
    for page in PAGES:
        if page.suffix != ".md":
            continue
        text = page.read_text(encoding="utf-8")
        for number, match in enumerate(_FENCE.finditer(text)):
            needs_model = text[: match.start()].rstrip().endswith(NEEDS_A_MODEL)
            if match[2] == language:
                found.append(Block(page.name, number, match[2], match[3], needs_model))
    return found


def block_lines() -> list[tuple[str, str]]:
    """(page, command without its comment) of every line of every shell block."""
    return [
        (block.page, re.split(r"\s+# ", line)[0].strip())
        for block in blocks("bash")
        for line in block.text.replace("\\\n", " ").splitlines()
        if line.strip()
    ]


def words_of(line: str) -> tuple[str, ...]:
    """The words of a command without what a page adds: brackets, comments, other commands."""
    return tuple(_words(line))


def _words(line: str) -> Iterator[str]:
    line = re.split(r"\s(?:#|&&|\|)\s|;| # |`", line)[0].removeprefix("PYTHONPATH=. ")
    try:
        words = shlex.split(line)
    except ValueError:  # a sentence that begins like a command
        return
    yield from (word.strip("[]") for word in words)


def module_of(words: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """The module that a command runs and the words after it; None for a script or a program."""
    if words[:2] == ("python", "-m"):
        return words[2], words[3:]
    if words[0] == "semcoder" and words[1] in COMMANDS:
        command = COMMANDS[words[1]]
        return command.module, (*command.arguments, *words[2:])
    return None
