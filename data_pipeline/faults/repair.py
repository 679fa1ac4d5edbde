"""Claims and words the changes that repair a buggy program, and the expression that is at fault."""

import ast
import difflib
from collections.abc import Iterator

from data_pipeline.claims import Claim, Place
from data_pipeline.monologue.speech import Part, Speaker

MAX_HUNK = 8
"""Maximum number of lines that the repair spells out at one changed place."""

Hunk = tuple[str, int, int, int, int]


class TooManyLines(ValueError):
    """Reports programs that differ in too many lines for a repair in words."""


def changed_lines(right: str, buggy: str) -> list[int]:
    """Returns the lines of the buggy program that the right one lacks, from 1."""
    return [
        line for _, _, _, start, end in _hunks(right, buggy) for line in range(start + 1, end + 1)
    ]


def _hunks(right: str, buggy: str) -> Iterator[Hunk]:
    ours, theirs = right.rstrip("\n").split("\n"), buggy.rstrip("\n").split("\n")
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    return (code for code in matcher.get_opcodes() if code[0] != "equal")


def repair(right: str, buggy: str, speaker: Speaker) -> Iterator[Part]:
    """Yields a clause for each change; None for one that cannot be put into words."""
    ours, theirs = right.rstrip("\n").split("\n"), buggy.rstrip("\n").split("\n")

    def code(line: int) -> Claim:
        return Claim("code", Place(line), theirs[line - 1].strip())

    for _, i1, i2, j1, j2 in _hunks(right, buggy):
        new, old = ours[i1:i2], theirs[j1:j2]
        if sum(bool(line.strip()) for line in (*new, *old)) > MAX_HUNK:
            raise TooManyLines("too many lines differ")
        if len(new) == len(old):
            for line, (one, other) in enumerate(zip(new, old, strict=True), j1 + 1):
                yield _line_change(one, other, line, code(line), speaker)
            continue
        for line in range(j1 + 1, j2 + 1):
            if theirs[line - 1].strip():
                yield speaker.say("drop", code(line), Claim("drop", Place(line)))
        put_in = [Claim("insert", Place(j1), line.strip(), str(number))
                  for number, line in enumerate(new, 1) if line.strip()]  # fmt: skip
        if put_in and j1:
            yield speaker.say("insert", code(j1), *put_in)
        elif put_in:
            yield speaker.say("insert first", *put_in)


def _line_change(right: str, buggy: str, line: int, code: Claim, speaker: Speaker) -> Part:
    if right.strip() != buggy.strip():
        return speaker.say("rewrite", code, Claim("rewrite", Place(line), "", right.strip()))
    needed = Claim("indent", Place(line), "", str(len(right) - len(right.lstrip())))
    found = Claim("indented", Place(line), "", str(len(buggy) - len(buggy.lstrip())))
    return speaker.say("indent", code, needed, found)


def fault_in_expression(right: str, buggy: str) -> Claim | None:
    """Claims the smallest expression that stands where the right program has another one."""
    one, other = ast.parse(right), ast.parse(buggy)
    found = _differing(one, other)
    if found is None:
        return None
    ours, theirs = (ast.get_source_segment(text, node) for text, node in
                    zip((right, buggy), found, strict=True))  # fmt: skip
    if not ours or not theirs or "\n" in ours + theirs:
        return None
    return Claim("stands", Place(found[1].lineno), theirs, ours)


def _differing(one: ast.AST, other: ast.AST) -> tuple[ast.expr, ast.expr] | None:
    """Returns the smallest pair of expressions that holds all differences of two trees.

    A name or a constant says little alone: the expression around it is returned.
    """
    if type(one) is type(other):
        pairs = list(_pairs(one, other))
        unlike = [pair for pair in pairs if _dump(pair[0]) != _dump(pair[1])]
        if len(unlike) == 1 and all(isinstance(part, ast.AST) for part in unlike[0]):
            inner = _differing(*unlike[0])
            if inner is not None and not (_is_bare(inner) and isinstance(one, ast.expr)):
                return inner
    if isinstance(one, ast.expr) and isinstance(other, ast.expr):
        return one, other
    return None


def _is_bare(pair: tuple[ast.expr, ast.expr]) -> bool:
    return any(isinstance(node, ast.Name | ast.Constant) for node in pair)


def _pairs(one: ast.AST, other: ast.AST) -> Iterator[tuple]:
    for (_, mine), (_, yours) in zip(ast.iter_fields(one), ast.iter_fields(other), strict=True):
        if isinstance(mine, list) and isinstance(yours, list) and len(mine) == len(yours):
            yield from zip(mine, yours, strict=True)
        else:
            yield mine, yours


def _dump(part: object) -> str:
    return ast.dump(part) if isinstance(part, ast.AST) else repr(part)
