"""Contradicts what a step says of an operation that no call of the run does so.

"The string 'ab!' is stripped of '!'", "`find()` is called on 'abc'", "the table maps 'a' to 'b'":
the operation, its receiver, its arguments and its result are held against all calls of the run.
What holds of any of them is left alone.
"""

import ast
import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Sequence

from data_pipeline.source.literals import value_or_none
from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.asides import parse_code
from data_pipeline.verify.characters import character_of
from data_pipeline.verify.code_verdicts import own_nodes
from data_pipeline.verify.masking import ATOM_NUMBER, Atom, is_literal, mask_code, spell
from data_pipeline.verify.pools import canonical
from data_pipeline.verify.value_verdicts import ValueVerdicts
from data_pipeline.verify.wordlists import word_set

_MOST_LINES = 300
_IN_PLACE = word_set("sort reverse")
_STRIPS = word_set("strip lstrip rstrip")
_SPLITS = word_set("split rsplit splitlines partition rpartition")
_REVERSES = word_set("reverse reversed [::-1]")
_SORTS = word_set("sort sorted")
_FINDS = word_set("find rfind index rindex count replace split rsplit partition rpartition")
_METHODS = {"stripped": _STRIPS, "split": _SPLITS, "partitioned": _SPLITS, "reversed": _REVERSES,
            "strips": _STRIPS, "splits": _SPLITS, "reverses": _REVERSES}  # fmt: skip
_CHANGES = {"strip": _STRIPS, "revers": _REVERSES, "sort": _SORTS, "replac": word_set("replace")}
_THE = r"(?:(?:the|this|that|a|an|its|entire|whole|given|input|original|resulting) )*"
_NOUN = r"(?:(?:string|substring|list|text|word|line|value|sequence|characters?|array) )?"
_CALLED_ON = re.compile(
    rf"⟦(?P<m>\d+)⟧ (?:method |function )?(?:is|was) (?:then |now |again |first )*"
    rf"(?:called|invoked|applied) (?:again )?(?:on|to) {_THE}{_NOUN}⟦(?P<r>\d+)⟧(?!\[|\(|\.\w)",
    re.I,
)
_CHECKED_WITH = re.compile(
    r"⟦(?P<r>\d+)⟧ (?:is|was) (?:then |now |again |also )*(?:checked|tested) (?:again )?"
    r"(?:with|using|by) (?:the )?⟦(?P<m>\d+)⟧",
    re.I,
)
_PASSIVE = re.compile(
    r"⟦(?P<r>\d+)⟧ (?:is|was) (?:then |now |first )?(?P<op>stripped of|split (?:at|by|on)|"
    r"partitioned (?:at|by)|reversed(?: back)? (?:to|into))"
    r"(?: (?:all|any|the|leading|trailing|character|characters|separator|delimiter))* "
    r"(?:⟦(?P<a>\d+)⟧|(?P<w>space|comma|dot|colon|hyphen|newline)s?\b)",
    re.I,
)
_ACTIVE = re.compile(
    rf"\b(?P<op>splits|strips|reverses) {_THE}{_NOUN}⟦(?P<r>\d+)⟧"
    r"(?!\[|\(|,|\.\w| ?,? (?:and|or|from)\b)",
    re.I,
)
_LOOKS = re.compile(
    r"⟦(?P<m>\d+)⟧ (?:method |function )(?:checks|looks|searches|tests)\b[^⟦.;]*?"
    rf"(?:for|with|contains) {_THE}{_NOUN}(?:prefix |suffix |separator )?⟦(?P<a>\d+)⟧",
    re.I,
)
_NOT_FOUND = re.compile(
    r"\b(?:(?:does not|doesn't|did not|cannot) find|finds no) (?:any |an? )?"
    rf"(?:occurrences? of |instances? of )?{_THE}{_NOUN}⟦(?P<a>\d+)⟧",
    re.I,
)
_UNCHANGED = re.compile(
    r"\b(?:remains?|stays?|is|are|left|leaves it) (?:the )?(?:unchanged|as it is)\b|"
    r"\b(?:does not|doesn't) (?:change|modify|alter) (?:anything|it|the (?:string|list|text))\b|"
    r"\bhas no effect\b",
    re.I,
)
_RESULT = re.compile(
    r"⟦(?P<m>\d+)⟧ (?:method |function )?(?:then )?(?:results in|returns|gives|yields|produces|"
    rf"evaluates to) {_THE}{_NOUN}⟦(?P<v>\d+)⟧(?! ?[-+*/%=(\[]|\.\w| (?:if|when|or|and)\b)",
    re.I,
)
_REMOVED = re.compile(
    r"\b(?:removes|pops)(?: and returns)? the (?:last|first|\w+) (?:element|item|character|value|"
    r"pair|key-value pair)\b[^⟦.;]*?(?:which is|:|,|\() ?⟦(?P<v>\d+)⟧(?! ?[-+*/%=(\[]|\.\w)",
    re.I,
)
_FROM_TO = re.compile(
    rf"\b(?P<op>reverses|sorts|strips) {_THE}{_NOUN}from ⟦(?P<a>\d+)⟧ (?:back )?(?:to|into) "
    r"⟦(?P<b>\d+)⟧",
    re.I,
)
_MAPS = re.compile(r"\bmaps? (?:the character )?⟦(?P<a>\d+)⟧ to ⟦(?P<b>\d+)⟧", re.I)
_SUPPOSED = re.compile(r"\b(?:if|would|could|might|unless|not|never|nor|neither)\b|n't\b", re.I)


@dataclasses.dataclass(frozen=True)
class _Call:
    """Holds one call of the run: texts of its receiver, its arguments and its result."""

    receiver: str
    arguments: tuple[str, ...]
    result: str


class ToldOperations:
    """Knows the calls of one run."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values
        self._known: dict[str, list[_Call] | None] = {}

    def denied(self, plain: str) -> Iterator[tuple[str, str]]:
        """Yields (text, truth) for what a sentence says of calls that the run does not make."""
        if self.run.trace.truncated or not self._methods:
            return
        masked, atoms = mask_code(plain, frozenset())
        lower = plain.lower()
        for words, read in (
            (("called", "invoked", "applied"), self._called_on),
            (("checked", "tested"), self._checked_with),
            (("stripped", "split", "partitioned", "reversed"), self._passive),
            (("splits", "strips", "reverses"), self._active),
            (("checks", "looks", "searches", "tests"), self._looks),
            (("find",), self._not_found),
            (("unchanged", "as it is", "change", "modify", "alter", "effect"), self._unchanged),
            (("map",), self._maps),
            (("results in", "returns", "gives", "yields", "produces", "evaluates"), self._result),
            (("removes", "pops"), self._removed),
            (("reverses", "sorts", "strips"), self._from_to),
        ):
            if any(word in lower for word in words):
                yield from read(masked, atoms)

    # ---- wording

    def _checked_with(self, text: str, atoms: Sequence[Atom]) -> Iterator[tuple[str, str]]:
        yield from self._called_on(text, atoms, _CHECKED_WITH)

    def _called_on(
        self, text: str, atoms: Sequence[Atom], pattern: re.Pattern[str] = _CALLED_ON
    ) -> Iterator[tuple[str, str]]:
        for found in pattern.finditer(text):
            name, told = _method_of(atoms[int(found["m"])]), atoms[int(found["r"])]
            if name is not None and told.literal and not _is_supposed(text, found.start()):
                fits = _receives(told.text)
                yield from self._none([name], fits, spell(found[0], atoms), _tell_receiver)

    def _passive(self, text: str, atoms: Sequence[Atom]) -> Iterator[tuple[str, str]]:
        for found in _PASSIVE.finditer(text):
            told = atoms[int(found["r"])]
            other = repr(character_of(found["w"])) if found["w"] else atoms[int(found["a"])].text
            if not told.literal or _is_supposed(text, found.start()):
                continue
            methods = _METHODS[found["op"].split()[0].lower()]
            said = spell(found[0], atoms)
            fits = _receives(told.text)
            if methods is _REVERSES:
                yield from self._none(methods, fits, said, _tell_receiver)
            elif is_literal(other):
                both = functools.partial(_receives_with, told.text, other)
                yield from self._none(methods, both, said, _tell_call)

    def _active(self, text: str, atoms: Sequence[Atom]) -> Iterator[tuple[str, str]]:
        for found in _ACTIVE.finditer(text):
            told = atoms[int(found["r"])]
            if told.literal and not _is_supposed(text, found.start()):
                said = spell(found[0], atoms)
                methods = _METHODS[found["op"].lower()]
                known = self._calls_of(methods) or []
                given = {canonical(one) for call in known for one in call.arguments}
                if canonical(told.text) not in given:  # "splits `','`": where it splits
                    yield from self._none(methods, _receives(told.text), said, _tell_receiver)

    def _looks(self, text: str, atoms: Sequence[Atom]) -> Iterator[tuple[str, str]]:
        for found in _LOOKS.finditer(text):
            name, told = _method_of(atoms[int(found["m"])]), atoms[int(found["a"])]
            if name is None or not told.literal or _is_supposed(text, found.start()):
                continue
            wanted = canonical(told.text)
            fits = lambda call, wanted=wanted: wanted in (*call.arguments, call.receiver)  # noqa: E731
            yield from self._none([name], fits, spell(found[0], atoms), _tell_call)

    def _not_found(self, text: str, atoms: Sequence[Atom]) -> Iterator[tuple[str, str]]:
        for found in _NOT_FOUND.finditer(text):
            told = value_or_none(atoms[int(found["a"])].text)
            known = self._told_calls(text, atoms, _FINDS)
            if not isinstance(told, str) or known is None:
                continue
            known = [call for call in known if told in map(value_or_none, call.arguments[:1])]
            owners = [value_or_none(call.receiver) for call in known]
            if owners and all(isinstance(one, str) and told in one for one in owners):
                yield spell(found[0], atoms), f"it is in {known[0].receiver}"

    def _unchanged(self, text: str, atoms: Sequence[Atom]) -> Iterator[tuple[str, str]]:
        """Yields "it remains unchanged" beside an operation that always changes its receiver."""
        found = _UNCHANGED.search(text)
        if found is None or re.search(
            r"\b(?:if|when|original|would)\b", text[: found.start()], re.I
        ):
            return
        known = self._told_calls(text[: found.start()], atoms, None)
        if known and all(call.result != call.receiver for call in known):
            yield spell(found[0], atoms), f"it becomes {known[0].result}"

    def _maps(self, text: str, atoms: Sequence[Atom]) -> Iterator[tuple[str, str]]:
        for found in _MAPS.finditer(text):
            known = self._calls_of(["maketrans"])
            one, two = (value_or_none(atoms[int(found[k])].text) for k in "ab")
            if not known or not isinstance(one, str) or not isinstance(two, str):
                continue
            tables = [_table(call) for call in known]
            if None in tables or any(table.get(one) == two for table in tables if table):
                continue
            truth = f"maketrans({', '.join(known[0].arguments)}) is called"
            yield spell(found[0], atoms), truth

    def _result(self, text: str, atoms: Sequence[Atom]) -> Iterator[tuple[str, str]]:
        """Yields "`.title()` results in 'A'" where no call of `title` does so."""
        for found in _RESULT.finditer(text):
            atom, told = atoms[int(found["m"])], atoms[int(found["v"])]
            code = parse_code(atom.text.removeprefix("."))
            bare = isinstance(code, ast.Call) and isinstance(code.func, ast.Name)
            if not bare or not told.literal or _is_supposed(text, found.start()):
                continue
            known = self._told_calls(f"⟦{found['m']}⟧", atoms, None)
            if known and not any(call.result == canonical(told.text) for call in known):
                yield spell(found[0], atoms), f"it gives {known[0].result}"

    def _removed(self, text: str, atoms: Sequence[Atom]) -> Iterator[tuple[str, str]]:
        """Yields "removes the last element, which is 8" where no `pop` gives 8."""
        for found in _REMOVED.finditer(text):
            told = atoms[int(found["v"])]
            others = {"del", "remove", "popleft", "discard"} & self._methods
            known = None if others else self._calls_of(word_set("pop popitem"))
            if known is None or not told.literal or _is_supposed(text, found.start()):
                continue
            own = self._told_calls(text[: found.start()], atoms, word_set("pop popitem")) or known
            wanted = canonical(told.text)
            gives = [wanted in (call.result, *_items(call.result)) for call in own]
            if gives and not any(gives):
                yield spell(found[0], atoms), f"it is {own[0].result}"

    def _from_to(self, text: str, atoms: Sequence[Atom]) -> Iterator[tuple[str, str]]:
        for found in _FROM_TO.finditer(text):
            one, two = atoms[int(found["a"])], atoms[int(found["b"])]
            methods = {"reverses": _REVERSES, "sorts": _SORTS, "strips": _STRIPS}[
                found["op"].lower()
            ]
            known = self._calls_of(methods)
            if not known or not one.literal or not two.literal:
                continue
            pair = canonical(one.text), canonical(two.text)
            if not any((call.receiver, call.result) == pair for call in known):
                truth = f"from {known[0].receiver} to {known[0].result}"
                yield spell(found[0], atoms), truth

    def _told_calls(
        self, text: str, atoms: Sequence[Atom], among: frozenset[str] | None
    ) -> list[_Call] | None:
        """Returns the calls that a sentence speaks of: those of its own code, else of its verb."""
        for number in ATOM_NUMBER.findall(text):
            told = parse_code(atoms[int(number)].text.removeprefix("."))
            if isinstance(told, ast.Call) and (name := _method_of(atoms[int(number)])):
                known = self._calls_of([name])
                texts = [canonical(ast.unparse(one)) for one in told.args]
                if known and all(value_or_none(one) is not None for one in texts) and texts:
                    known = [call for call in known if list(call.arguments) == texts]
                return known if among is None or name in among else None
        if among is not None:
            return self._calls_of(among)
        return None

    # ---- calls of the run

    def _none(
        self,
        methods: Sequence[str] | frozenset[str],
        fits: Callable[[_Call], bool],
        said: str,
        tell: Callable[[_Call], str],
    ) -> Iterator[tuple[str, str]]:
        """Yields what is said if all calls of some methods are known, and none is so."""
        known = self._calls_of(methods)
        if known and not any(fits(call) for call in known):
            yield said, tell(known[0])

    def _calls_of(self, methods: Sequence[str] | frozenset[str]) -> list[_Call] | None:
        """Returns the calls of some methods; None if not all of them are known."""
        found: list[_Call] = []
        for name in sorted(set(methods) & self._methods):
            if name not in self._known:
                self._known[name] = self._find(name)
            known = self._known[name]
            if known is None:
                return None
            found += known
        return found

    @functools.cached_property
    def _nodes(self) -> dict[str, list[tuple[ast.stmt, ast.expr]]]:
        """Returns method -> its calls in the program; "[::-1]" counts as one."""
        found: dict[str, list[tuple[ast.stmt, ast.expr]]] = {}
        for statement in self.run.statements.values():
            if isinstance(statement, ast.FunctionDef | ast.ClassDef):
                continue
            for node in own_nodes(statement):
                name = _called_name(node)
                if name is not None and name not in self.run.functions:
                    found.setdefault(name, []).append((statement, node))  # type: ignore[arg-type]
        return found

    @functools.cached_property
    def _methods(self) -> frozenset[str]:
        return frozenset(self._nodes)

    def _find(self, name: str) -> list[_Call] | None:
        calls: list[_Call] = []
        for statement, node in self._nodes[name]:
            runs = self.run.by_line.get(statement.lineno, ())
            if len(runs) > _MOST_LINES or _is_inside(statement, node):
                return None
            for here in runs:
                call = self._call(name, node, here)
                if call is None:
                    return None
                calls.append(call)
        return calls

    def _call(self, name: str, node: ast.expr, here: Occurrence) -> _Call | None:
        frame, before = here.event.frame, here.at - 1
        match node:
            case ast.Subscript():
                parts = [node.value]
            case ast.Call(func=ast.Attribute(value=owner), args=args, keywords=[]):
                parts = [owner, *args]
            case ast.Call(func=ast.Name(), args=[first]):
                parts = [first]
            case _:
                return None
        texts = [self._text(part, frame, before) for part in parts]
        if name in _IN_PLACE and isinstance(node, ast.Call):
            result = self._text(parts[0], frame, here.end - 1)
        else:
            result = self._text(node, frame, before)
        if result is None or None in texts:
            return None
        return _Call(texts[0] or "", tuple(one or "" for one in texts[1:]), result)

    def _text(self, node: ast.expr, frame: int, at: int) -> str | None:
        if isinstance(node, ast.Name) and node.id == "str":
            return "str"
        return self.values.text_at(ast.unparse(node), frame, at)


def _is_inside(statement: ast.stmt, node: ast.expr) -> bool:
    """Returns whether code runs in the turns of a comprehension or in a lambda: often, or never."""
    for outer in own_nodes(statement):
        if isinstance(outer, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            if node in set(ast.walk(outer)) - set(ast.walk(outer.generators[0].iter)):
                return True
        elif isinstance(outer, ast.Lambda | ast.IfExp | ast.BoolOp) and node in ast.walk(outer):
            return True
    return False


def _called_name(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Attribute(attr=name)):
            return name
        case ast.Call(func=ast.Name(id="sorted" | "reversed" as name)):
            return name
        case ast.Subscript(slice=ast.Slice(lower=None, upper=None, step=step)) if step is not None:
            return "[::-1]" if ast.unparse(step) == "-1" else None
    return None


def _method_of(atom: Atom) -> str | None:
    """Returns the method that code names: of `find()`, `.find`, `s.find("a")`."""
    code = parse_code(atom.text.removeprefix("."))
    match code:
        case ast.Call(func=ast.Name(id=name)) | ast.Name(id=name):
            return name
        case ast.Call(func=ast.Attribute(attr=name)) | ast.Attribute(attr=name):
            return name
    return None


def _receives(text: str) -> Callable[[_Call], bool]:
    wanted = canonical(text)
    return lambda call: call.receiver == wanted or "…" in call.receiver or "..." in text


def _receives_with(receiver: str, argument: str, call: _Call) -> bool:
    given = value_or_none(argument)
    others = [value_or_none(one) for one in call.arguments]
    same = not others or any(
        one == given or (isinstance(one, str) and isinstance(given, str) and given in one)
        for one in others
    )
    return same and _receives(receiver)(call)


def _items(text: str) -> list[str]:
    """Returns the parts of a key with its value."""
    value = value_or_none(text)
    return [render(part) for part in value] if isinstance(value, tuple) else []


def _tell_receiver(call: _Call) -> str:
    return f"it is called on {call.receiver}"


def _tell_call(call: _Call) -> str:
    given = f" with {', '.join(call.arguments)}" if call.arguments else ""
    return f"it is called on {call.receiver}{given}"


def _table(call: _Call) -> dict | None:
    """Returns the characters that a call of `maketrans` maps."""
    values = [value_or_none(one) for one in call.arguments]
    if len(values) >= 2 and all(isinstance(one, str) for one in values):
        return dict(zip(str(values[0]), str(values[1]), strict=False))
    if len(values) == 1 and isinstance(values[0], dict):
        return values[0]
    return None


def _is_supposed(text: str, end: int) -> bool:
    """Returns whether a clause is only supposed, or denied."""
    return _SUPPOSED.search(re.split(r"[.;:]", text[:end])[-1]) is not None
