"""Reading an answer out of what a model said: upstream's way to the letter, and the right one.

Upstream (SemCoder, experiments/process_cruxeval.py) searches prompt and response together, cuts at
the first `==`, and turns every `"` into `'`, which loses perfect answers. `fixed` reads the
response alone, takes the assertion apart as Python, and changes no character.
"""

import ast
import re

from data_pipeline.source.literals import literal_end

OPENING, CLOSING = "[ANSWER]", "[/ANSWER]"


def upstream_answer(text: str, asked: str) -> str:
    """The answer in `text`, prompt included, as upstream reads it. `asked`: "input" or
    "output"."""
    tag = "ANSWER]" if "\nANSWER]" in text else OPENING
    start = text.rfind(tag) + len(tag)
    end = text.rfind("[/ANS")
    answer = text[start : end if end >= start else len(text)]
    if "==" in answer:
        answer = answer.split("==")[1 if asked == "output" else 0].strip()
    if "assert" in answer:
        answer = answer.split("assert")[1].strip()
    return answer.replace('"', "'")


def stated_answer(response: str, *, finished: bool) -> str | None:
    """What stands between the last [ANSWER] and the [/ANSWER] behind it; None for no answer.

    Where the closing tag is missing, the answer of a `finished` response ends with it, and any
    other's is unknown.
    """
    _, opened, answer = response.rpartition(OPENING)
    answer, closed, _ = answer.partition(CLOSING)
    if not opened or not (closed or finished):
        return None
    return unfenced(answer) or None


def unfenced(answer: str) -> str:
    """`answer` without the Markdown fence around it, and without "assert"."""
    answer = answer.strip()
    if fenced := re.fullmatch(r"```(?:python)?\s*\n(.*?)\n?```", answer, re.S):
        answer = fenced[1].strip()
    return re.sub(r"\Aassert\s+", "", answer)


def asserted_output(answer: str) -> str | None:
    """The value of "f(x) == value", or of a value alone; None where there is none."""
    sides = _sides(answer)
    return (sides[1] if sides else answer.strip()) or None


def asserted_input(answer: str) -> str | None:
    """The call of "f(x) == value", or of a call alone; None where there is none."""
    sides = _sides(answer)
    return (sides[0] if sides else answer.strip()) or None


def _sides(answer: str) -> tuple[str, str] | None:
    """Left and right of the assertion's own `==`, not of one inside an argument or a string."""
    try:
        tree = ast.parse(answer.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _sides_of_no_python(answer)
    if isinstance(tree, ast.Compare) and len(tree.ops) == 1 and isinstance(tree.ops[0], ast.Eq):
        left = ast.get_source_segment(answer.strip(), tree.left)
        right = ast.get_source_segment(answer.strip(), tree.comparators[0])
        if left is not None and right is not None:
            return left.strip(), right.strip()
    return None


def _sides_of_no_python(answer: str) -> tuple[str, str] | None:
    for match in re.finditer("==", answer):
        left = answer[: match.start()]
        start = left.find("(")
        end = literal_end(left, start) if start >= 0 else len(left)
        if end is not None and not left[end:].strip():
            return left.strip(), answer[match.end() :].strip()
    return None
