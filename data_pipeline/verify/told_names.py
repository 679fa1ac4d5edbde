"""Notes names and denials of a step that its claims leave out: a wrong variable, a "not".

"The loop iterates over `ys`" of a loop over `xs`, "`x > 2` checks if `y` is greater than 2",
"`a` is assigned the rest, which is 'b'" of an `a` that is never 'b': each value may be right, and
yet the line is not.
"""

import ast
import functools
import re
from collections.abc import Iterator, Sequence

from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.asides import parse_code
from data_pipeline.verify.claims import CONFIRMED, Claim
from data_pipeline.verify.code_verdicts import own_nodes
from data_pipeline.verify.masking import ATOM_NUMBER, Atom, mask_code, spell
from data_pipeline.verify.places import Place
from data_pipeline.verify.screening import Pattern, screened
from data_pipeline.verify.value_verdicts import ValueVerdicts, dump_node
from data_pipeline.verify.values import compare

Doubt = tuple[str, str | None]  # text, the truth if the run denies it
_MOST_STATES = 200
_CHECKS = re.compile(
    r"(?:⟦(?P<c>\d+)⟧:?,?|\b(?:function|it|loop|condition|check|line|program)) "
    r"(?:(?:now|then|again|also|which) )*checks (?:if|whether|that) (?P<rest>[^.;:,()→]+)",
    re.I,
)
_CHECKED = screened(  # denials that ask, or that are judged as no change, or that tell nothing
    r"\bchecks? (?:if|whether|that)\b[^.;:,()→]*|\bdoes not (?:change|affect|alter|modify)\b|"
    r"\bif not,|\bor not\b|\bmay or may not\b|\bbut not including\b|\(i\.e\.,? not [a-z ]+\)",
    re.I,
)
_ASSIGNED = re.compile(
    r"⟦(?P<x>\d+)⟧ (?:is|gets) (?:then |now )?(?:assigned|set to|given|"
    r"updated to|initiali[sz]ed (?:to|as|with))\b"
    r"[^⟦.;]*?,? which is (?:now )?⟦(?P<v>\d+)⟧(?! ?[-+*/%=(\[])",
    re.I,
)
_LOOPS_OVER = re.compile(
    r"\b(?:iterat\w+|loops?|looping|goes) (?:over|through) (?:(?:the|each|all|every) )*"
    r"(?:[a-z-]+ ){0,2}?(?:(?:in|of|from) )?(?:the )?⟦(?P<x>\d+)⟧(?! ?[-+*/%=(\[])",
    re.I,
)
_JOINS = re.compile(
    r"\bconcatenat\w+ (?:of )?(?:the )?⟦(?P<a>\d+)⟧ (?:and|with|to) (?:the )?⟦(?P<b>\d+)⟧", re.I
)
_LENGTH = re.compile(
    r"\blength of (?:the )?(?:[a-z]+ )?⟦(?P<x>\d+)⟧ is (?:then |first )?"
    r"(?:calculated|computed|determined|obtained)",
    re.I,
)
_RAISES = re.compile(r"\braises (?:the |an? )?(?:[a-z-]+ )?(?:⟦(?P<v>\d+)⟧|dictionary|list)", re.I)
_MADE = re.compile(
    r"⟦(?P<x>\d+)⟧ (?:is|are) (?:then |first |also )?(?:initiali[sz]ed|created|defined)\b|"
    r"\b(?:initiali[sz]es|creates|defines) (?:an? |the )?(?:\w+ ){0,3}⟦(?P<y>\d+)⟧(?! ?[\[(.=])",
    re.I,
)
_BODY = screened(
    r"\b(?:block|body|branch|loop)\b (?:is |are )?(?:then |therefore |thus )?"
    r"(?:executed|entered|executes|runs|run)\b"
    r"(?! (?:again|once|until|while|through|over|for|from|\d|⟦))",
    re.I,
)
_AT_LINE: tuple[tuple[Pattern, tuple[type, ...]], ...] = (
    (screened(r"\bfunction is called with\b", re.I), (ast.FunctionDef,)),
    (screened(r"\bthe function returns\b|\breturn statement is (?:executed|reached)", re.I),
     (ast.Return, ast.Yield, ast.Lambda, ast.Raise)),
    (screened(r"⟦\d+⟧ loop (?:begins|starts|is set|checks)|\bloop (?:begins|starts)\b", re.I),
     (ast.For, ast.While, ast.comprehension)),
    (screened(r"\blength of\b[^.;]* is (?:calculated|computed)", re.I), (ast.Call,)),
)  # fmt: skip
_NOT = screened(r"\bnot\b|n't\b|\bnever\b|\bneither\b", re.I)
_SUPPOSED = re.compile(r"\b(?:if|when|whether|would|until|unless|not|n't|before|after)\b", re.I)
_LESS = re.compile(r"\b(?:less|smaller|lower|below|shorter)\b", re.I)
_MORE = re.compile(r"\b(?:greater|larger|more|higher|exceeds|longer|bigger)\b", re.I)
_NEGATIVE = (ast.NotEq, ast.NotIn, ast.IsNot, ast.Not)
_JOINERS = frozenset(("join", "format", "extend", "append"))


class ToldNames:
    """Knows the names of one program, and their values in one run."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values

    def doubts(self, plain: str, place: Place, claims: Sequence[Claim]) -> Iterator[Doubt]:
        """Yields what a sentence says that the program or the run does not bear out."""
        text, atoms = mask_code(plain, frozenset())
        if "checks" in text:
            yield from self._checks(text, atoms, place)
        if "which is" in text:
            yield from self._assigned(text, atoms)
        if " over " in text or " through " in text:
            yield from self._loops(text, atoms)
        if "oncatenat" in text:
            yield from self._joins(text, atoms)
        for found in _LENGTH.finditer(text) if "length of" in text else ():
            name = atoms[int(found["x"])].text
            if name in self.run.names and name not in self._measured:
                yield spell(found[0], atoms), None
        raises = "raises" in text and self.run.trace.raised is None
        found = _RAISES.search(text) if raises else None
        if found is not None and (not found["v"] or atoms[int(found["v"])].literal):
            yield spell(found[0], atoms), "the call returns"
        if place.sure and place.occurrence is not None:
            yield from self._of_another_line(text, atoms, place)
        for found in _BODY.finditer(text):
            known = " ".join(claim.text for claim in claims)
            if not _SUPPOSED.search(text[: found.start()]) and found[0] not in known:
                yield spell(found[0], atoms), None
        yield from self._left_out(text, atoms, claims)

    def _of_another_line(self, text: str, atoms: Sequence[Atom], place: Place) -> Iterator[Doubt]:
        """Yields what a sentence says of the line that it cites, and another line does."""
        assert place.occurrence is not None
        statement = self.run.statement_of(place.occurrence.event)
        if statement is None:
            return
        nodes = list(ast.walk(statement))
        if isinstance(statement, ast.FunctionDef):
            nodes = [statement]
        kinds = {type(node) for node in nodes}
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        own = {node.id for node in own_nodes(statement) if isinstance(node, ast.Name)}
        calls = names & self.run.functions.keys()
        for pattern, wanted in _AT_LINE:
            if not calls and kinds.isdisjoint(wanted) and (found := pattern.search(text)):
                yield spell(found[0], atoms), None
        for found in _MADE.finditer(text):
            name = atoms[int(found["x"] or found["y"])].text
            if name in self.run.names and name not in own and name not in self._parameters:
                yield spell(found[0], atoms), None

    @functools.cached_property
    def _parameters(self) -> frozenset[str]:
        return frozenset(name for entry in self.run.entries for name in entry.event.changed)

    def _left_out(
        self, text: str, atoms: Sequence[Atom], claims: Sequence[Claim]
    ) -> Iterator[Doubt]:
        """Yields a sentence with more denials than its claims have."""
        if all(claim.verdict == CONFIRMED for claim in claims) and denials_left_out(text, claims):
            yield spell(text, atoms), None

    # ---- what a test checks

    def _checks(self, text: str, atoms: Sequence[Atom], place: Place) -> Iterator[Doubt]:
        for found in _CHECKS.finditer(text):
            code = _test(atoms[int(found["c"])].text) if found["c"] else self._own_test(place)
            if code is None or isinstance(code, ast.Name | ast.Constant):
                continue
            own = [atoms[int(number)] for number in ATOM_NUMBER.findall(found["rest"])]
            if (
                not all(self._is_part(atom, code, place) for atom in own)
                or _turns_round(found["rest"], code)
                or _compares_otherwise(found["rest"], own, code)
                or _is_of_other_case(found["rest"], code)
            ):
                yield spell(found[0], atoms), None

    def _own_test(self, place: Place) -> ast.expr | None:
        """Returns the test of the line that a sentence cites."""
        here = place.occurrence
        statement = self.run.statement_of(here.event) if here is not None and place.sure else None
        return statement.test if isinstance(statement, ast.If | ast.While) else None

    def _is_part(self, atom: Atom, code: ast.expr, place: Place) -> bool:
        """Returns whether code has a part that is told, or one with the value that is told."""
        parts = [node for node in ast.walk(code) if isinstance(node, ast.expr)]
        told = parse_code(atom.text)
        if not atom.literal:
            if not isinstance(told, ast.Name) or told.id not in self.run.names:
                return True
            return dump_node(told) in {dump_node(part) for part in parts}
        for part in parts:
            if isinstance(part, ast.Constant):
                if compare(atom.text, ast.unparse(part)) == CONFIRMED:
                    return True
                continue
            code_text = ast.unparse(part)
            for frame, at in self._points(place):
                real = self.values.text_at(code_text, frame, at)
                if real is not None and compare(atom.text, real) == CONFIRMED:
                    return True
        return atom.text in ("True", "False", "None", "0", "''", '""')

    def _points(self, place: Place) -> list[tuple[int, int]]:
        here = place.occurrence
        if place.window is not None and not place.sure:
            return [(place.frame, at) for at in self.values.points(place.frame, place.window)]
        if here is not None and place.sure:
            runs = self.run.by_line.get(here.event.line, ())[:_MOST_STATES]
            return [(o.event.frame, at) for o in runs for at in (o.at - 1, o.at)]  # of any turn
        return [(o.event.frame, o.at - 1) for o in self.run.occurrences[:_MOST_STATES]]

    # ---- variables

    def _assigned(self, text: str, atoms: Sequence[Atom]) -> Iterator[Doubt]:
        """Yields "`a` is assigned the first item, which is 3" of an `a` that is never 3."""
        for found in _ASSIGNED.finditer(text):
            name, told = atoms[int(found["x"])].text, atoms[int(found["v"])]
            if name not in self.run.names or not told.literal:
                continue
            texts = [t for f in list(self.run.frames)[:50] for t in self.run.history(f, name)[1]]
            known = [text for text in texts[:_MOST_STATES] if text is not None]
            if known and not any(compare(told.text, text) == CONFIRMED for text in known):
                yield spell(found[0], atoms), f"{name}={known[0]}"

    def _loops(self, text: str, atoms: Sequence[Atom]) -> Iterator[Doubt]:
        for found in _LOOPS_OVER.finditer(text):
            name = atoms[int(found["x"])].text
            if self._iterated and name in self.run.names and name not in self._iterated:
                yield spell(found[0], atoms), None

    def _joins(self, text: str, atoms: Sequence[Atom]) -> Iterator[Doubt]:
        for found in _JOINS.finditer(text):
            one, two = (parse_code(atoms[int(found[k])].text) for k in "ab")
            literal = any(atoms[int(found[k])].literal for k in "ab")
            if one is None or two is None or literal or not self._sums:
                continue
            wanted = [dump_node(one), dump_node(two)]
            if not any(_has_both(list(parts), wanted) for parts in self._sums):
                yield spell(found[0], atoms), None

    @functools.cached_property
    def _iterated(self) -> frozenset[str]:
        """Returns the names in what the loops of the program iterate over; none with a `while`."""
        loops = [n for n in self.run.nodes if isinstance(n, ast.For | ast.comprehension)]
        if any(isinstance(node, ast.While) for node in self.run.nodes):
            return frozenset()
        sources = [part for loop in loops for part in ast.walk(loop.iter)]
        return frozenset(part.id for part in sources if isinstance(part, ast.Name))

    @functools.cached_property
    def _measured(self) -> frozenset[str]:
        """Returns the names in arguments of `len`."""
        calls = [n for n in self.run.nodes if isinstance(n, ast.Call)]
        parts = [
            part
            for call in calls
            if getattr(call.func, "id", "") in ("len", "range", "sum")
            for one in call.args
            for part in ast.walk(one)
        ]
        return frozenset(part.id for part in parts if isinstance(part, ast.Name))

    @functools.cached_property
    def _sums(self) -> tuple[tuple[str | None, ...], ...]:
        """Returns the operands of each sum, as dumps; none where a call may join texts too."""
        calls = {
            node.func.attr
            for node in self.run.nodes
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        formats = any(isinstance(node, ast.JoinedStr | ast.Mod) for node in self.run.nodes)
        if calls & _JOINERS or formats:
            return ()
        found = []
        for node in self.run.nodes:
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
                found.append(tuple(dump_node(part) for part in _operands(node)))
            elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
                target = ast.parse(ast.unparse(node.target), mode="eval").body
                found.append((dump_node(target), *map(dump_node, _operands(node.value))))
        return tuple(found)


def denials_left_out(text: str, claims: Sequence[Claim]) -> bool:
    """Tells whether a masked text has more denials than its claims have."""
    told = len(_NOT.findall(_CHECKED.sub("", text)))
    return told > 0 and told > sum(
        len(_NOT.findall(_without_values(claim.text))) for claim in claims
    )


def _operands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_operands(node.left), *_operands(node.right)]
    return [node]


def _has_both(parts: list, wanted: list) -> bool:
    for one in wanted:
        if one not in parts:
            return False
        parts.remove(one)
    return True


def _test(text: str) -> ast.expr | None:
    return parse_code(re.sub(r"^(?:if|elif|while) ", "", text.strip()).removesuffix(":"))


def _turns_round(told: str, code: ast.expr) -> bool:
    """Tells whether words deny what plain code tests, such as "is not in" of `x in xs`."""
    if _NOT.search(told) is None:
        return False
    match code:
        case ast.Compare(ops=[ast.Eq() | ast.In() | ast.Is()]):
            return True
        case ast.Call():
            return True
    return False


def _compares_otherwise(told: str, own: Sequence[Atom], code: ast.expr) -> bool:
    """Tells whether words compare two things the other way round than code does."""
    less, more = _LESS.search(told), _MORE.search(told)
    if not isinstance(code, ast.Compare) or len(code.ops) != 1 or bool(less) == bool(more):
        return False
    if not own or _NOT.search(told):
        return False
    first = parse_code(own[0].text)
    is_left = first is not None and dump_node(first) == dump_node(code.left)
    if not is_left:
        return False
    wrong = (ast.Gt, ast.GtE) if less else (ast.Lt, ast.LtE)
    return isinstance(code.ops[0], wrong)


def _is_of_other_case(told: str, code: ast.expr) -> bool:
    """Tells whether words speak of lower case where code tests upper case alone, or the reverse."""
    text = ast.unparse(code).lower()
    low, high = "lower" in told.lower(), "upper" in told.lower()
    return (low and not high and "upper" in text and "lower" not in text) or (
        high and not low and "lower" in text and "upper" not in text
    )


def _without_values(text: str) -> str:
    return re.sub(r"⟦\d+⟧", "~", mask_code(text, frozenset())[0])
