"""Proves claims about a buggy program and the right one, from their texts and syntax trees.

kind       subject             value          place: a line of the buggy program
stands     expression          expression     with `value` for `subject` the program is right
at fault   -                   -              the line is the only one that differs
code       code of the line    -
missing    code                -              a line of the right program that the buggy one lacks
only here  code of the line    -              the right program lacks this line
rewrite    -                   code           the line must read so
indent     -                   number         spaces that it must start with
indented   -                   number         spaces that it starts with
drop       -                   -              the line must go
insert     code                number         the line to put in after the line; number: from 1
repaired   -                   -              the edits claimed before make the right program
"""

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence

from data_pipeline.claims import Claim
from data_pipeline.faults.alignment import match_lines


class Programs:
    """Two programs, and the edits that have been proven so far (claim, in order)."""

    def __init__(self, right: str, buggy: str):
        self.right, self.buggy = right, buggy
        self.ours, self.theirs = (text.rstrip("\n").split("\n") for text in (right, buggy))
        self.edits: list[Claim] = []

    def line(self, number: int) -> str:
        if not 1 <= number <= len(self.theirs):
            raise IndexError(number)
        return self.theirs[number - 1]

    def changed(self) -> tuple[Sequence[str], Sequence[str], int]:
        """Returns the differing middles of the right and the buggy program, and its first line."""
        ours, theirs = self.ours, self.theirs
        most = min(len(ours), len(theirs))
        head = next((n for n in range(most) if ours[n] != theirs[n]), most)
        tail = next((n for n in range(most - head) if ours[-1 - n] != theirs[-1 - n]), most - head)
        return ours[head : len(ours) - tail], theirs[head : len(theirs) - tail], head + 1


def _stands(programs: Programs, claim: Claim) -> bool:
    wrong, right = (_dump(ast.parse(t, mode="eval").body) for t in (claim.subject, claim.value))
    wanted = _dump(ast.parse(programs.right))
    replacement = ast.parse(claim.value, mode="eval").body
    for repaired in _replaced(ast.parse(programs.buggy), wrong, replacement, claim.place.line):
        if _dump(repaired) == wanted:
            return wrong != right
    return False


def _dump(node: ast.AST) -> str:
    """Returns a tree's text; the target of an assignment counts as the expression it is."""
    return ast.dump(node).replace("ctx=Store()", "ctx=Load()")


def _replaced(tree: ast.Module, old: str, new: ast.expr, line: int) -> Iterator[ast.Module]:
    """Yields the program with an expression put for each like `old` that starts on the line.

    It is the same tree each time, which keeps the new expression until the next is asked for.
    """
    for parent in ast.walk(tree):
        for name, field in ast.iter_fields(parent):
            places = enumerate(field) if isinstance(field, list) else [(None, field)]
            for index, node in list(places):
                is_it = isinstance(node, ast.expr) and node.lineno == line and _dump(node) == old
                if is_it:
                    _put(parent, name, index, new)
                    yield tree
                    _put(parent, name, index, node)


def _put(parent: ast.AST, name: str, index: int | None, node: ast.expr) -> None:
    if index is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[index] = node


def _at_fault(programs: Programs, claim: Claim) -> bool:
    _, theirs, first = programs.changed()
    return len(theirs) == 1 and first == claim.place.line


def _code(programs: Programs, claim: Claim) -> bool:
    return programs.line(claim.place.line).strip() == claim.subject


def _missing(programs: Programs, claim: Claim) -> bool:
    paired = match_lines(programs.right, programs.buggy)
    lines = enumerate(programs.ours, 1)
    return any(text.strip() == claim.subject and n not in paired for n, text in lines)


def _only_here(programs: Programs, claim: Claim) -> bool:
    paired = match_lines(programs.right, programs.buggy)
    return claim.place.line not in paired.values() and _code(programs, claim)


def _needed_code(programs: Programs, claim: Claim) -> bool:
    return programs.ours[claim.place.line - 1].strip() == claim.subject


# ---- the repair


def _edit(programs: Programs, claim: Claim) -> bool:
    """The edit concerns the lines that differ, and gives what the right program has there."""
    ours, theirs, first = programs.changed()
    line, texts = claim.place.line, [text.strip() for text in ours]
    inside = first <= line < first + len(theirs)
    if claim.kind == "insert":
        known = first - 1 <= line < first + len(theirs) and claim.subject in texts
    elif claim.kind == "rewrite":
        known = inside and claim.value in texts
    elif claim.kind == "indent":
        known = inside and any(
            text.strip() == programs.line(line).strip() and _indent(text) == int(claim.value)
            for text in ours
        )
    else:
        known = inside
    if known and claim not in programs.edits:
        programs.edits.append(claim)
    return known


def _indented(programs: Programs, claim: Claim) -> bool:
    return _indent(programs.line(claim.place.line)) == int(claim.value)


def _repaired(programs: Programs, claim: Claim) -> bool:
    """Blank lines, and the indentation of new lines, which the edits do not state, do not count."""
    result: list[tuple[str, int | None]] = list(_inserted(programs, 0))
    for number, text in enumerate(programs.theirs, 1):
        edits = {e.kind: e.value for e in programs.edits if e.place.line == number}
        text = edits.get("rewrite", text).strip()
        if text and "drop" not in edits:
            result.append((text, int(edits["indent"]) if "indent" in edits else None))
        result += _inserted(programs, number)
    wanted = [line for line in programs.ours if line.strip()]
    return [text for text, _ in result] == [line.strip() for line in wanted] and all(
        indent in (None, _indent(line)) for (_, indent), line in zip(result, wanted, strict=True)
    )


def _inserted(programs: Programs, line: int) -> Iterator[tuple[str, None]]:
    for edit in programs.edits:
        if edit.kind == "insert" and edit.place.line == line:
            yield edit.subject, None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


PROGRAM_PROOFS: Mapping[str, Callable[[Programs, Claim], bool]] = {
    "stands": _stands, "at fault": _at_fault, "code": _code, "missing": _missing,
    "only here": _only_here, "needed code": _needed_code, "rewrite": _edit, "indent": _edit,
    "drop": _edit, "insert": _edit, "indented": _indented, "repaired": _repaired,
}  # fmt: skip
