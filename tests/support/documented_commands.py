"""Commands and Python blocks that README and docs show, and what is known of each command."""

import ast
import dataclasses
import functools
import importlib.util
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
        *REPOSITORY.glob("configs/*.py"),
    ]
)
POD = REPOSITORY / "launch" / "pod.sh"
NEEDS_A_MODEL = "<!-- needs a model -->"
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.M | re.S)
_START = re.compile(r"(?:PYTHONPATH=\. )?(python -m|python|semcoder|bash)\s")
_FLAG = re.compile(r"--[A-Za-z][\w.-]*")


@dataclasses.dataclass(frozen=True)
class Shown:
    """A command as a page shows it: where, and its words."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def shown_commands() -> list[Shown]:
    """Every command of every page: lines of shell blocks and text between backquotes."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        inline = re.findall(r"`([^`\n]+)`", text)
        for line in [*text.splitlines(), *inline]:
            line = line.strip().strip("`")
            words = tuple(_words(line)) if _START.match(line) else ()
            if len(words) > 1 and words != ("python", "-m"):
                found.append(Shown(page.name, words))
    return found


def _words(line: str) -> Iterator[str]:
    """The words of a command without what a page adds: brackets, comments, other commands."""
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


@functools.cache
def flags_of(module: str) -> frozenset[str]:
    """Flags that a module's command may read: all that its own source and its help spell.

    Follows the module's imports of command modules, and reads dictionaries of flags as the config
    commands have them. Lenient where a flag of one subcommand is used with another.
    """
    if module == COMMANDS["launch"].module:  # its flags are the script's
        return frozenset(_FLAG.findall(POD.read_text(encoding="utf-8")))
    path = source_of(module)
    text = path.read_text(encoding="utf-8")
    found = set(_FLAG.findall(text))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Dict):
            found |= {
                f"--{key.value}"
                for key in node.keys
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            }
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"(semcoder_jax|data_pipeline)\.commands\.\w+", node.value):
                found |= flags_of(node.value)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if re.fullmatch(
                r"(semcoder_jax|data_pipeline)\.commands\.(?!config_flags)\w+", node.module
            ):
                found |= flags_of(node.module)
        elif isinstance(node, ast.FunctionDef) and node.name == "_add_device_flags":
            found |= {"--tensor", "--distributed"}
    return frozenset(found)


def source_of(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin, f"no module {module}"
    path = Path(spec.origin)
    return path.with_name("__main__.py") if path.name == "__init__.py" else path


def python_blocks() -> list[tuple[str, str]]:
    """(page and number, source) of the Python blocks that need no model."""
    found = []
    for page in PAGES:
        if page.suffix != ".md":
            continue
        text = page.read_text(encoding="utf-8")
        for number, match in enumerate(_FENCE.finditer(text)):
            before = text[: match.start()].rstrip()
            if match[2] == "python" and not before.endswith(NEEDS_A_MODEL):
                found.append((f"{page.name}:{number}", match[3]))
    return found
