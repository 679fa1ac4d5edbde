"""Holds code that a step quotes against the program: the line it cites, constants and signs.

"[L6]: `out.append(x)` is executed" of another line's code, "`n += 3`" where the program adds 1,
"`n < 4` (5 < 4)" where `n` is 3: what else is read of such a step may all be true.
"""

import ast
import functools
import re
from collections.abc import Iterator, Sequence

from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.claims import CONTRADICTED
from data_pipeline.verify.code_verdicts import own_nodes
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.layout import Sentence
from data_pipeline.verify.masking import Atom, is_literal, mask_code
from data_pipeline.verify.nouns import code_of
from data_pipeline.verify.places import Place
from data_pipeline.verify.value_verdicts import ValueVerdicts, dump_node
from data_pipeline.verify.values import compare

Doubt = tuple[str, str | None]  # text, the truth if the run or the program denies it
_MOST_POINTS = 400
_LABEL = re.compile(r"\bL\d+\b")
_OTHER_PLACE = re.compile(
    r"\b(?:next|proceeds?|moves?|jumps?|goes|back|before|after|earlier|previous\w*|since|because|"
    r"later|will|would|from|until|once|(?<!checks )(?<!check )if|when|calls?)\b",
    re.I,
)
_DONE_HERE = re.compile(
    r"\b(?:execut\w+|evaluat\w+|check(?:s|ed)|called|initiali[sz]\w+|creat\w+|assign\w*|tested|"
    r"runs?|sets?|line|statement)\b",
    re.I,
)
_QUOTED_TEST = re.compile(  # "the condition `n < 3` is checked", "`if n < 3:` checks"
    r"\bcondition ⟦(?P<x>\d+)⟧ is (?:first |then |now |again )?(?:checked|evaluated|tested)\b|"
    r"⟦(?P<y>\d+)⟧ (?:checks|tests)\b|\bchecks (?:the condition )?⟦(?P<z>\d+)⟧",
    re.I,
)
_SHOWN = re.compile(
    r"⟦(?P<code>\d+)⟧,? (?P<open>\(?)(?:i\.e\.,? )?⟦(?P<told>\d+)⟧(?P<close>\)?)"
    r"(?: ?,?:?(?: which)? (?:is|evaluates to|returns|gives)"
    r"(?: not(?P<no>))? ⟦(?P<v>\d+)⟧(?! ?[-+*/%=<>(\[]))?"
)
_TEST = "test of "
_SIGNS = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
_MIRRORED = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE}


class QuotedCode:
    """Knows the statements of one program, and their values in one run."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values

    def doubts(self, sentence: Sentence, place: Place) -> Iterator[Doubt]:
        """Yields what a sentence quotes that its line, or the program, does not have."""
        if "`" not in sentence.plain:
            return
        text, atoms = mask_code(sentence.plain, frozenset())
        if sentence.own and sentence.label in self.run.statements:
            yield from self._of_other_lines(sentence.label, text, atoms)
        for found in _QUOTED_TEST.finditer(text):
            atom = atoms[int(found["x"] or found["y"] or found["z"])]
            if (test := _tree(atom.text)) is not None and (truth := self._misquoted(test)):
                yield atom.text, truth
        for atom in atoms:
            tree = _tree(atom.text) if "=" in atom.text else None
            if isinstance(tree, ast.Assign | ast.AugAssign) and (truth := self._misquoted(tree)):
                yield atom.text, truth
        if "⟧ (⟦" in text:
            yield from self._shown(text, atoms, place)

    # ---- the line that is cited

    def _of_other_lines(self, cited: int, text: str, atoms: Sequence[Atom]) -> Iterator[Doubt]:
        """Yields a whole statement or test that stands on other lines than the one cited."""
        if len(_LABEL.findall(text)) > 1 or not _DONE_HERE.search(text):
            return
        for number, atom in enumerate(atoms):
            before = text[: text.find(f"⟦{number}⟧")]
            if atom.literal or _OTHER_PLACE.search(before):
                continue
            lines = self._lines.get(_key(atom.text), frozenset())
            if lines and not any(self._belongs(line, cited) for line in lines):
                places = ", ".join(f"[L{line + FIRST_LABEL - 1}]" for line in sorted(lines)[:3])
                yield f"{atom.text} stands on {places}", None

    def _belongs(self, line: int, cited: int) -> bool:
        """Tells whether a line is the one that is cited, or in its body."""
        statement = self.run.statements.get(cited)
        if statement is None or isinstance(statement, ast.FunctionDef | ast.ClassDef):
            return statement is None
        return cited <= line <= (statement.end_lineno or cited)

    @functools.cached_property
    def _lines(self) -> dict[str, frozenset[int]]:
        """Returns dump -> lines, of statements and of the expressions that they are made of."""
        found: dict[str, set[int]] = {}
        for line, statement in self.run.statements.items():
            if isinstance(statement, ast.FunctionDef | ast.ClassDef):
                continue
            value = getattr(statement, "test", None) or getattr(statement, "value", None)
            for node in (statement, value):
                plain = isinstance(node, ast.Name | ast.Constant | ast.If | ast.While)
                if isinstance(node, ast.AST) and not plain:
                    found.setdefault(dump_node(node), set()).add(line)
            if isinstance(statement, ast.If | ast.While):
                found.setdefault(_TEST + dump_node(statement.test), set()).add(line)
        return {key: frozenset(lines) for key, lines in found.items()}

    # ---- code that is quoted wrongly

    def _misquoted(self, told: ast.AST) -> str | None:
        """Returns the program's code where the told one differs from it in constants or a sign."""
        near, outline = None, _outline(told)
        for node in self._quotable.get(outline, ()) if outline else ():
            if dump_node(node) == dump_node(told):
                return None
            near = near or node
        return f"the code is {ast.unparse(near)}" if near is not None else None

    @functools.cached_property
    def _quotable(self) -> dict[str, list[ast.AST]]:
        """Returns outline -> the code of the program that has it."""
        found: dict[str, list[ast.AST]] = {}
        for statement in self.run.statements.values():
            for node in own_nodes(statement):
                if isinstance(node, ast.Compare | ast.Assign | ast.AugAssign):
                    found.setdefault(_outline(node), []).append(node)
        return found

    # ---- code with its values beside it

    def _shown(self, text: str, atoms: Sequence[Atom], place: Place) -> Iterator[Doubt]:
        """Yields "`n < 4` (5 < 4)" where `n` is never 5 there, or the sign is another one."""
        for found in _SHOWN.finditer(text):
            code, told = (_tree(atoms[int(found[k])].text) for k in ("code", "told"))
            if not _compares_one(code) or not _compares_one(told) or not found["open"]:
                continue
            assert isinstance(code, ast.Compare) and isinstance(told, ast.Compare)
            if _has_names(told) or not _has_names(code):
                continue
            said = atoms[int(found["told"])].text
            if (truth := self._other_instance(told, code, place)) is not None:
                yield f"{said} for {atoms[int(found['code'])].text}", truth
            elif found["v"] and (outcome := atoms[int(found["v"])].text) in ("True", "False"):
                claimed = (outcome == "True") != (found["no"] is not None)
                try:
                    real = bool(evaluate(said, None))
                except (Unknown, ValueError, RecursionError):
                    continue
                if real != claimed:
                    yield f"{said} is {claimed}", f"{said} is {real}"

    def _other_instance(self, told: ast.Compare, code: ast.Compare, place: Place) -> str | None:
        """Returns what code becomes where it runs, if it nowhere becomes what is told."""
        if self.run.trace.truncated:
            return None
        one, two = type(told.ops[0]), type(code.ops[0])
        if one is not two and _MIRRORED.get(one) is two:
            return None  # "`a < b` (2 > 1)", told the other way round
        seen = None
        for frame, at in self._points(place):
            real = [
                self.values.text_at(ast.unparse(part), frame, at)
                for part in (code.left, code.comparators[0])
            ]
            if None in real:
                continue
            parts = [ast.unparse(part) for part in (told.left, told.comparators[0])]
            if not all(is_literal(part) for part in parts):
                return None
            fits = all(
                compare(part, text or "") != CONTRADICTED
                for part, text in zip(parts, real, strict=True)
            )
            if fits and one is two:
                return None
            sign = _SIGNS.get(two)
            if sign is None:
                return None
            seen = seen or f"it is {real[0]} {sign} {real[1]}"
        return seen

    def _points(self, place: Place) -> list[tuple[int, int]]:
        here = place.occurrence
        if place.window is not None and not place.sure:
            return [(place.frame, at) for at in self.values.points(place.frame, place.window)]
        if here is not None and place.sure:
            runs = self.run.by_line.get(here.event.line, ())[:_MOST_POINTS]
            return [(o.event.frame, at) for o in runs for at in (o.at - 1, o.end - 1)]
        lines = self.run.occurrences[:_MOST_POINTS]
        return [(o.event.frame, at) for o in lines for at in (o.at - 1, o.end - 1)]


@functools.lru_cache(maxsize=4096)
def _tree(text: str) -> ast.AST | None:
    """Returns the syntax of a statement or expression, also of "if x > 2:"; None if it is none."""
    for code in (text.strip(), code_of(text).removesuffix(":")):
        try:
            body = ast.parse(code).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if len(body) == 1:
            return body[0].value if isinstance(body[0], ast.Expr) else body[0]
    return None


@functools.lru_cache(maxsize=4096)
def _key(text: str) -> str:
    tree = _tree(text)
    if tree is None:
        return ""
    return (_TEST if text.startswith(("if ", "elif ", "while ")) else "") + dump_node(tree)


def _outline(node: ast.AST) -> str:
    """Returns code without its signs and numbers: `n < 3` and `n >= 4` have one outline.

    Without a name but the target's, "" stands for it: values may be put in there.
    """
    value = node.value if isinstance(node, ast.Assign) else node
    if not _has_names(value) or (isinstance(node, ast.AugAssign) and not _plain_step(node)):
        return ""
    text = ast.unparse(node)
    if isinstance(node, ast.Compare):
        text = re.sub(r"(?<=[\w)\]'\"]) (?:==|!=|<=|>=|<|>) ", " ~ ", text)
    text = re.sub(r"(?<![\w.'\"\[])-?\d+(?:\.\d+)?(?![\w.'\"])", "#", text)
    return f"{type(node).__name__} {text}" if "#" in text or "~" in text else ""


def _plain_step(node: ast.AugAssign) -> bool:
    """Tells whether code steps by a number: `n += 1`."""
    return isinstance(node.value, ast.Constant) and isinstance(node.value.value, int | float)


def _compares_one(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Compare) and len(node.ops) == 1


def _has_names(node: ast.AST) -> bool:
    return any(isinstance(one, ast.Name) for one in ast.walk(node))
