"""Reads the line labels of a monologue: prompts count a program's lines from 5, files from 1."""

import re

from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.verify.screening import screened

PROMPT, FILE = "prompt", "file"
_LABEL = screened(r"\bL(\d{1,6})\b")
_HEADING_LINE = screened(  # "1. **Line 6**: …"
    r"^(?P<b>[ \t]*(?:\d+[.)][ \t]*|[-*•][ \t]+)?(?:\*\*)?(?:At |On )?)[Ll]ine (?P<n>\d{1,6})"
    r"(?=(?:\*\*)?[:,] )",
    re.M,
)
_QUOTED_LINE = screened(r"\b[Ll]ine (\d{1,6}) \(`([^`\n]*)`\)(:)?")


def choose_numbering(program: str, monologue: str) -> str:
    """Returns the numbering that a monologue means: PROMPT, unless only FILE can be meant."""
    cited = set(map(int, _LABEL.findall(monologue)))
    if not cited:
        return PROMPT
    last = len(program.splitlines())
    in_prompt = {label for label in cited if FIRST_LABEL <= label < FIRST_LABEL + last}
    in_file = {label for label in cited if 1 <= label <= last}
    if in_prompt == cited:
        return PROMPT
    # A label that is no line of either does not hide what the others mean.
    return FILE if in_file == cited or (in_file and not in_prompt) else PROMPT


def to_prompt_numbering(monologue: str) -> str:
    """Returns a monologue that counts as files do with the labels of the prompt."""
    shift = FIRST_LABEL - 1
    return _LABEL.sub(lambda match: f"L{int(match[1]) + shift}", monologue)


def label_quoted_lines(program: str, monologue: str) -> str:
    """Returns a monologue with the label of a line where it quotes one: "Line 2 (`k = 1`):"."""
    lines = program.split("\n")

    def put(match: re.Match[str]) -> str:
        number = int(match[1])
        if not 1 <= number <= len(lines) or lines[number - 1].strip() != match[2].strip():
            return match[0]
        return f"[L{number + FIRST_LABEL - 1}]"

    return _label_headings(program, _QUOTED_LINE.sub(put, monologue))


def _label_headings(program: str, monologue: str) -> str:
    """Returns a monologue with labels for "Line 6:" where a line begins with that.

    The numbers may count as files do, unless the program has no such line, or as prompts do.
    """
    cited = {int(found["n"]) for found in _HEADING_LINE.finditer(monologue)}
    last = len(program.rstrip("\n").split("\n"))
    if not cited:
        return monologue
    in_prompt = all(FIRST_LABEL <= number < FIRST_LABEL + last for number in cited)
    in_file = all(1 <= number <= last for number in cited)
    if in_prompt == in_file and not _LABEL.search(monologue):
        return monologue
    shift = 0 if in_prompt else FIRST_LABEL - 1
    if not in_prompt and not in_file:
        return monologue
    return _HEADING_LINE.sub(lambda found: f"{found['b']}[L{int(found['n']) + shift}]", monologue)


def label_program(program: str, numbering: str) -> str:
    """Returns the program with the label of each line beside it."""
    first = FIRST_LABEL if numbering == PROMPT else 1
    lines = program.rstrip("\n").split("\n")
    width = len(f"[L{first + len(lines) - 1}]")
    return "\n".join(f"{f'[L{n}]':<{width}} {line}".rstrip() for n, line in enumerate(lines, first))


def unknown_labels(program: str, monologue: str, numbering: str) -> list[str]:
    """Returns one sentence for each label that is no line of the program, in order."""
    first = FIRST_LABEL if numbering == PROMPT else 1
    last = first + len(program.rstrip("\n").split("\n")) - 1
    labels = dict.fromkeys(map(int, _LABEL.findall(monologue)))
    return [
        f"`[L{label}]` is no line of this program (it has L{first} to L{last})"
        for label in labels
        if not first <= label <= last
    ]
