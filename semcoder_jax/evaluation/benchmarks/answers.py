"""Extracts the answer from a model's text: exactly as upstream does, and correctly.

Upstream (SemCoder, experiments/process_cruxeval.py) searches prompt and response together, cuts at
the first `==`, and turns every `"` into `'`, which loses right answers. `fixed` reads only the
response, parses the assertion as Python, and changes no character.
"""

import ast
import re
import warnings

from data_pipeline.source.literals import is_literal, literal_end

OPENING, CLOSING = "[ANSWER]", "[/ANSWER]"
_MAX_SPLITS = 20  # places of `==` to try in a broken answer


def extract_upstream_answer(text: str, asked: str) -> str:
    """Extracts the answer from `text`, which includes the prompt, as upstream does.

    `asked` is "input" or "output".
    """
    tag = "ANSWER]" if "\nANSWER]" in text else OPENING
    start = text.rfind(tag) + len(tag)
    end = text.rfind("[/ANS")
    answer = text[start : end if end >= start else len(text)]
    if "==" in answer:
        answer = answer.split("==")[1 if asked == "output" else 0].strip()
    if "assert" in answer:
        answer = answer.split("assert")[1].strip()
    return answer.replace('"', "'")


def extract_tagged_answer(response: str, *, finished: bool) -> str | None:
    """Extracts the text between the last [ANSWER] and its [/ANSWER], or returns None.

    Without a closing tag, only a `finished` response has an answer; it ends with the response.
    """
    _, opened, answer = response.rpartition(OPENING)
    answer, closed, _ = answer.partition(CLOSING)
    if not opened or not (closed or finished):
        return None
    return strip_fence(answer) or None


def strip_fence(answer: str) -> str:
    """Removes the Markdown fence around `answer`, and a leading "assert"."""
    answer = answer.strip()
    if fenced := re.fullmatch(r"```(?:python)?\s*\n(.*?)\n?```", answer, re.S):
        answer = fenced[1].strip()
    return re.sub(r"\Aassert\s+", "", answer)


def extract_output(answer: str) -> str | None:
    """Returns the value of "f(x) == value" or of a bare value, or None."""
    sides = split_assertion(answer)
    return (sides[1] if sides else answer.strip()) or None


def extract_input(answer: str) -> str | None:
    """Returns the call of "f(x) == value" or of a bare call, or None."""
    sides = split_assertion(answer)
    return (sides[0] if sides else answer.strip()) or None


def split_assertion(answer: str) -> tuple[str, str] | None:
    """Splits "call == value" at the assertion's own `==`, not at one inside an argument or text.

    If the copied call is broken, splits at the last `==` that a literal follows. Returns None if
    the answer is no assertion.
    """
    answer = answer.strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in a model's answer
            tree = ast.parse(answer, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return split_after_call(answer) or _split_before_literal(answer)
    if isinstance(tree, ast.Compare) and len(tree.ops) == 1 and isinstance(tree.ops[0], ast.Eq):
        left = ast.get_source_segment(answer, tree.left)
        right = ast.get_source_segment(answer, tree.comparators[0])
        if left is not None and right is not None:
            return left.strip(), right.strip()
    return None


def split_after_call(answer: str) -> tuple[str, str] | None:
    """Splits at the first `==` with nothing between it and the end of the call, or None."""
    for match in re.finditer("==", answer):
        left = answer[: match.start()]
        start = left.find("(")
        end = literal_end(left, start) if start >= 0 else len(left)
        if end is not None and not left[end:].strip():
            return left.strip(), answer[match.end() :].strip()
    return None


def _split_before_literal(answer: str) -> tuple[str, str] | None:
    last = list(re.finditer("==", answer))[-_MAX_SPLITS:]
    for match in reversed(last):
        if is_literal(answer[match.end() :]):
            return answer[: match.start()].strip(), answer[match.end() :].strip()
    return None
