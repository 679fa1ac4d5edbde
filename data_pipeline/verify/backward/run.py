"""Reads lines of a backward monologue that speak of the witness's run.

"Checking `f(3)` forwards gives 7", "`total * 2` is 24 only if `total` is 12", "`(3, 1)` was added
to `seen`": each is judged on the states of the run; what a line states together must hold together.
"""

import ast
import re
from collections.abc import Iterator

from data_pipeline.source.literals import same_value
from data_pipeline.tracing.replay import Occurrence, Replay, State
from data_pipeline.verify.answer import same_call
from data_pipeline.verify.backward.code import CodeLines
from data_pipeline.verify.backward.witness import Witness
from data_pipeline.verify.backward.wording import mark_code
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.values import compare

_MOST_STATES = 600
_CODE = r"`(?P<{}>[^`]+)`"
_X, _Y, _Z = (_CODE.format(name) for name in "xyz")
_MUST = r"(?:must be|has to be|needs to be|should be)"
_RESULT = re.compile(
    rf"^(?:[\w ]+ )?{_X}(?: forwards)?(?:,? (?:is|meets|satisfies|fits|as)\b[^`\"]*?[,:]?)?(?:,?"
    rf" (?:and|which|it))? (?:correctly |indeed |also )?(?:gives|returns|yields|produces"
    rf"|evaluates to|results in|would return|will return)(?: us)? {_Y}$", re.I,
)  # fmt: skip
_LAST = re.compile(
    rf"^(?:the (?:output|result) (?:has to|must|can only) come from|only) the `return` of {_X}"
    rf"(?: can give the (?:output|result), so its|, whose) value {_MUST} {_Y}$"
    rf"|^(?P<x2>`[^`]+`) is returned: (?P<y2>`[^`]+`)$", re.I,
)  # fmt: skip
_ONLY_IF = re.compile(
    rf"^(?:for {_X} to be {_Y}, {_Z} {_MUST}|{_X.replace('x', 'x2')} is"
    rf" {_Y.replace('y', 'y2')} only if {_Z.replace('z', 'z2')} (?:is|equals)) `(?P<v>[^`]+)`$",
    re.I,
)
_GETS = re.compile(
    rf"^{_X} (?:is set to|gets its value from|gets the value of|is made by|comes from|is assigned)"
    rf" {_Y}(?:, so (?:`[^`]+`|that|it)|, and that|; (?P<given>with .*?), that)"
    rf" (?:is|{_MUST}) {_Z}$", re.I,
)  # fmt: skip
_MADE = re.compile(rf"^{_X} (?:comes out of|is the result of) the loop over {_Y}", re.I)
_GIVEN = re.compile(r"`(\w+)` = `([^`]+)`")
_ADDED = re.compile(
    rf"^{_X} (?:was|is|has been|were|gets|must have been|must be|will be) (?:first |then |also"
    rf" )?(?:added|appended|put|inserted|stored|placed)(?: as an? (?:key|value|element|item))?"
    rf" (?:to|into|in|onto) (?:the )?(?:\w+ )?{_Y}$", re.I,
)  # fmt: skip
_ELEMENT = re.compile(
    r"^(?:`\w+` must be such that )?(?:the )?(?P<which>first|second|third|fourth|fifth|last) "
    rf"(?:element|character|item|entry|value)(?: (?:in|of) (?:the )?(?:\w+ )?{_X})? (?:is|must be"
    rf"|should be|will be) {_Y}$", re.I,
)  # fmt: skip
_BETWEEN = re.compile(
    rf"^(?:the )?(?:valid )?`?(?P<x>[a-z_]\w*)`? {_MUST} between {_Y} and {_Z}(?: \(?(?P<how>"
    rf"inclusive|exclusive)\)?)?$", re.I,
)  # fmt: skip
_AFTER_LOOP = re.compile(
    rf"^(?:after (?:the|this|that) (?:loop|whole loop|last (?:iteration|turn))(?: ends| finishes)?"
    rf"|at the end(?: of the loop)?|when the loop ends|finally),? {_X}"
    rf" (?:is|will be|must be|equals|holds|contains|becomes) {_Y}$", re.I,
)  # fmt: skip
_NEEDED = re.compile(r"\b(?:must|has to|have to|needs? to|required|only if)\b", re.I)
_PLACES = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": -1}


class RunLines:
    """Judges sentences on the run of the witness."""

    def __init__(self, run: Replay, witness: Witness):
        self.run, self.witness = run, witness
        self.code = witness.code

    def read(self, sentence: str) -> list[JudgedClaim] | None:
        """Returns the claim of a sentence of a known form; None for any other."""
        sentence = mark_code(sentence.strip(" .:"))
        if (of_code := CodeLines(self.run).read(sentence)) is not None:
            verdict = CONFIRMED if of_code else CONTRADICTED
            return [JudgedClaim("code", sentence[:80], verdict, self._truth())]
        for pattern, judge in (
            (_RESULT, self._result),
            (_LAST, self._last),
            (_ONLY_IF, self._only_if),
            (_GETS, self._gets),
            (_ADDED, self._added),
            (_ELEMENT, self._element),
            (_BETWEEN, self._between),
            (_AFTER_LOOP, self._after_loop),
        ):
            match = pattern.match(sentence)
            holds = None if match is None else judge(match)
            if holds and _NEEDED.search(sentence) and self.witness.misses_goal:
                return None  # a run that misses the output shows no need
            if holds is not None:
                verdict = CONFIRMED if holds else CONTRADICTED
                return [JudgedClaim("answer", sentence[:80], verdict, self._truth())]
        return None

    def _truth(self) -> str:
        return f"{self.run.trace.call} returns {self.witness.result}"

    def _result(self, match: re.Match[str]) -> bool | None:
        """Judges "`f(3)` is a witness: it returns 7"."""
        if not same_call(match["x"], self.run.trace.call) or self.witness.result is None:
            return None
        return compare(match["y"], self.witness.result) == CONFIRMED

    def _last(self, match: re.Match[str]) -> bool | None:
        """Judges "the output has to come from the `return` of `n * 2`, which must be 24"."""
        code, told = (match[key] or match[key + "2"] for key in ("x", "y"))
        code, told = code.strip("`"), told.strip("`")
        returned = [
            node for node in ast.walk(self.code.tree)
            if isinstance(node, ast.Return) and node.value is not None and _same(node.value, code)
        ]  # fmt: skip
        if not returned or self.witness.result is None:
            return None
        return compare(told, self.witness.result) == CONFIRMED

    def _only_if(self, match: re.Match[str]) -> bool | None:
        """Judges "`n * 2` is 24 only if `n` is 12": where the one holds, the other does."""
        whole = match["x"] or match["x2"], match["y"] or match["y2"]
        part = match["z"] or match["z2"], match["v"]
        found = [
            held for state in self._states()
            if _holds(state, *whole) and (held := _holds(state, *part)) is not None
        ]  # fmt: skip
        return any(found) if found else None

    def _gets(self, match: re.Match[str]) -> bool | None:
        """Judges "`v` is set to `d.pop(k)`, so `d.pop(k)` must be 2" after that statement."""
        given = _GIVEN.findall(match["given"] or "")
        found = [
            held for here in self._runs_of(match["x"], match["y"])
            if all(_holds(self.run.state(here.event.frame, here.at - 1), *one) for one in given)
            and (held := _holds(self._after(here), match["x"], match["z"])) is not None
        ]  # fmt: skip
        return any(found) if found else None

    def _added(self, match: re.Match[str]) -> bool | None:
        """Judges "`(3, 1)` was added to `seen`" by the values that `seen` has."""
        name = match["y"]
        if name not in self.run.names or name in self.code.parameters:
            return None
        told = _value(match["x"])
        found = [
            told in container for state in self._states()
            if isinstance(container := _evaluated(name, state), list | dict | set | tuple)
        ] if told is not None else []  # fmt: skip
        return any(found) if found else None

    def _element(self, match: re.Match[str]) -> bool | None:
        """Judges "the first element in `temp` is `(2, 10)`" of a variable of the run."""
        if match["x"] is None:
            return self._item_of_output(match)
        if match["x"] not in self.run.names:
            return None
        code = f"{match['x']}[{_PLACES[match['which'].lower()]}]"
        found = {_holds(state, code, match["y"]) for state in self._states()} - {None}
        return found.pop() if len(found) == 1 else None

    def _item_of_output(self, match: re.Match[str]) -> bool | None:
        place = _PLACES[match["which"].lower()]
        held = _holds(None, f"({self.witness.goal})[{place}]", match["y"])
        return True if held else None

    def _between(self, match: re.Match[str]) -> bool | None:
        """Judges "`index` must be between `0` and `2`" by the values that `index` has."""
        name, low, high = match["x"], match["y"], match["z"]
        if name not in self.run.names or match["how"] == "exclusive":
            return None
        held = [
            value for state in self._states()
            if isinstance(value := _evaluated(f"{low} <= {name} <= {high}", state), bool)
        ]  # fmt: skip
        return all(held) if held and (all(held) or not any(held)) else None

    def _after_loop(self, match: re.Match[str]) -> bool | None:
        """Judges "after the loop, `r` is `[1]`" where `r` does not change any more."""
        loops = [node for node in ast.walk(self.code.tree) if isinstance(node, ast.For | ast.While)]
        if len(loops) != 1:
            return None
        last = [state for state in self._states()][-1:]
        held = [_holds(state, match["x"], match["y"]) for state in last]
        return True if held == [True] else None

    def _runs_of(self, name: str, code: str) -> Iterator[Occurrence]:
        """Yields the executions of the statement `name = code`."""
        for line, statement in self.run.statements.items():
            match statement:
                case ast.Assign(targets=[target], value=value) if _same(target, name) and _same(
                    value, code
                ):
                    yield from self.run.by_line.get(line, ())

    def _after(self, here: Occurrence) -> State:
        return self.run.state(here.event.frame, max(here.at, here.end - 1))

    def _states(self) -> Iterator[State]:
        """Yields the states of the witness's own frame, in order."""
        if self.witness.state is None:
            return
        frame = next(e.frame for e in self.run.events if e.kind == "call")
        own = [i for i, event in enumerate(self.run.events) if event.frame == frame]
        for at in own[-_MOST_STATES:]:
            yield self.run.state(frame, at)


def _same(node: ast.expr, code: str) -> bool:
    try:
        return ast.unparse(ast.parse(code.strip(), mode="eval")) == ast.unparse(node)
    except (SyntaxError, ValueError, RecursionError):
        return False


def _evaluated(code: str, state: State | None) -> object:
    try:
        return evaluate(code, state)
    except Unknown:
        return None


def _value(text: str) -> object:
    return _evaluated(text.strip("`"), None)


def _holds(state: State | None, code: str, text: str) -> bool | None:
    """Tells whether an expression has the value told in a state; None if either is unknown."""
    try:
        real, told = evaluate(code, state), evaluate(text, None)
    except Unknown:
        return None
    return same_value(real, told)
