"""Reads lines of backward monologues about the program's parts, and how often they run.

"`count += 1` must run exactly 3 times", "the loop over `xs` must make exactly 2 turns": a demand is
held against the witness's run. "The function tests `x > 1`" is held against the program.
"""

import ast
import re
from collections.abc import Iterator
from typing import Any

from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.backward.nouns import ATOM, Nouns, number
from data_pipeline.verify.backward.witness import Witness
from data_pipeline.verify.conditions import read_condition
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.lexicon import read_tokens
from data_pipeline.verify.phrases import code_of
from data_pipeline.verify.properties import is_mutated

_TIMES = r"(?:exactly )?(?P<n>once|twice|one|`?\d+`?|never|no)(?: times?| turns?| iterations?)?"
_X = rf"(?P<x>{ATOM})"
_PATTERNS = {
    "tested": rf"the (?:function|program|code) (?:tests|checks) {_X}",
    "looped": rf"(?:a|one|the) loop (?:goes over|goes through|takes (?P<y>{ATOM}) from) {_X}",
    "counted": rf"(?:the |it )?(?:outer |inner |first |second )?(?:for )?(?:loop )?(?:iterates|runs"
    rf"|goes|ranges|loops)(?: over indices)? from {_X} (?:up )?to (?P<y>{ATOM})"
    r"(?: \((?:exclusive|inclusive)\))?",
    "repeated": rf"(?:a|one|the) loop goes on as long as {_X} holds",
    "goes_on": r"(?:(?:it|the function) (?:will )?(?:keeps?|continues?|repeatedly) \w+[^`]*? "
    r"(?=until|while|as long)|(?:it )?(?:(?:enters?|uses?|starts?|has) )?(?:an? |the )?(?:`while` "
    r"|while )?loop (?:that )?(?:will )?(?:continues?|runs?|goes on|repeats?|iterates?"
    r"|keeps running) )(?P<how>as long as|while|until) (?P<when>.+)",
    "maps": rf"(?:the )?(?:key |character )?{_X} (?:maps to|is mapped to|->|→) (?P<y>{ATOM})",
    "part": rf"{_X}:? (?:is |which is )?(?:the )?(?:part|portion|substring)(?: of (?:the (?:\w+ )?"
    rf"string|(?:the )?(?P<z>{ATOM})))? (?P<side>before|after) the (?P<nth>first|last)"
    rf" (?:occurrence of )?(?:the )?(?:separator |delimiter |character |substring )?(?P<y>{ATOM})",
    "mark": rf"{_X}:? (?:is )?the (?:(?:separator|delimiter|character) )?(?P<y>{ATOM})(?: itself)?",
    "breaks": r"(?:the )?loop (?:will )?(?:breaks?|stops?|ends?|terminates?|exits?) (?:when|if"
    r"|once) (?P<when>.+)",
    "changed": rf"the argument {_X} is changed in place",
    "raised": rf"{_X} can be raised",
    "returned": rf"(?:one way to get the output is|we choose the way that ends with) the"
    rf" `return` of {_X}",
    "built": rf"the loop over {_X} builds it up by (?P<y>{ATOM})",
    "updated": rf"(?P<z>{ATOM}) comes out of the loop over {_X}, which (?:updates it by|sets it to)"
    rf" (?P<y>{ATOM})",
    "needed": rf"(?:for that|to get there),? {_X} (?:must|has to|needs to) be (?P<y>true|false)",
    "runs": rf"(?:so )?{_X} must (?:run {_TIMES}|(?P<never>never) run)",
    "holds": rf"(?:so )?(?:the condition )?{_X} must (?:hold {_TIMES}|(?P<never>never) hold)",
    "turns": rf"(?:so )?the loop over {_X} must make {_TIMES}",
    "emptied": rf"this takes {_X} to be empty",
    "sized": rf"this takes exactly (?P<n>one|`?\d+`?) items? in {_X}",
    "itemless": rf"{_X} must give no items?",
    "adds": rf"(?:the|all) values of {_X} that are (?:added|appended) must (?:sum to|come to|make"
    rf"|be) (?P<y>{ATOM})(?: together| when put one after the other|, in this order)?",
}
_READ = {name: re.compile(pattern, re.I) for name, pattern in _PATTERNS.items()}
_ASIDE = re.compile(r" \([^()`]*\)")
_SHOWN_BEHIND = re.compile(r"^(the .+) \((`\w+\[\d\]`)\)$", re.I)
_NO_LONGER = re.compile(r"\bno longer (\w+?)s\b(?= with| in|$)")


class CodeLines:
    """Judges sentences on the program and on the run of the witness."""

    def __init__(self, run: Replay):
        self.run, self.code = run, code_of(run)

    def read(self, marked: str) -> bool | None:
        """Tells whether a sentence of a known form is true; None for any other.

        marked: the sentence, its code and literals in backticks.
        """
        parts = marked.split("`")
        parts[::2] = [_ASIDE.sub("", part) for part in parts[::2]]
        marked = _SHOWN_BEHIND.sub(r"\2: \1", "`".join(parts))
        for name, pattern in _READ.items():
            if match := pattern.fullmatch(marked):
                try:
                    return getattr(self, f"_{name}")(match)
                except (Unknown, LiteralError, TypeError, ValueError, SyntaxError):
                    return None
        return None

    def _nodes(self, kinds: Any) -> Iterator[Any]:
        return (node for node in ast.walk(self.code.tree) if isinstance(node, kinds))

    def _tested(self, match: re.Match[str]) -> bool:
        tests = self._nodes(ast.If | ast.While | ast.IfExp | ast.Assert)
        return any(_is(node.test, match["x"]) for node in tests)

    def _looped(self, match: re.Match[str]) -> bool:
        loops = self._nodes(ast.For | ast.comprehension)
        return any(
            _is(loop.iter, match["x"]) and (match["y"] is None or _is(loop.target, match["y"]))
            for loop in loops
        )

    def _repeated(self, match: re.Match[str]) -> bool:
        return any(_is(loop.test, match["x"]) for loop in self._nodes(ast.While))

    def _counted(self, match: re.Match[str]) -> bool | None:
        """A loop over `range(a, b)` goes from `a` to `b`, or to `b - 1`."""
        wanted = [_plain_code(match[key]) for key in ("x", "y")]
        found = []
        for loop in self._nodes(ast.For):
            match loop.iter:
                case ast.Call(func=ast.Name(id="range"), args=[start, stop]):
                    found.append((ast.unparse(start), ast.unparse(stop)))
                case ast.Call(func=ast.Name(id="range"), args=[stop]):
                    found.append(("0", ast.unparse(stop)))
        ends = [(start, end) for start, stop in found for end in (stop, f"{stop} - 1")]
        return True if tuple(wanted) in ends else None

    def _goes_on(self, match: re.Match[str]) -> bool | None:
        """The test of the only `while` is what a sentence says it is, whenever it is made."""
        found = list(self._nodes(ast.While))
        until = match["how"].lower() == "until"
        if len(found) == 1 and isinstance(found[0].test, ast.Constant) and until:
            return self._breaks(match)
        if len(found) != 1:
            return None
        return self._holds_at(found[0].lineno, match["when"], denied=until, least=2)

    def _holds_at(self, line: int, said: str, *, denied: bool, least: int) -> bool | None:
        """Confirms that a condition is the test of a line, by all its runs.

        least: how many of the two ways must be taken.
        """
        if self.run.trace.truncated:
            return None
        said = said.replace("becomes equal to", "is equal to")
        when = _ASIDE.sub("", _NO_LONGER.sub(r"does not \1", said))
        condition = read_condition(read_tokens(when.replace("is still valid", "is not empty")))
        if condition is None:
            return None
        held = []
        for one in self._runs_at(line):
            moment = Moment(Witness(self.run, None), self.run.state(0, one.at - 1))
            held.append((moment.satisfies(condition), one.event.branch))
        if any(None in pair for pair in held) or len({branch for _, branch in held}) < least:
            return None
        return all((says != denied) == entered for says, entered in held) or None

    def _maps(self, match: re.Match[str]) -> bool | None:
        """A dictionary that the program writes out holds a key with this value."""
        key, value = (ast.dump(ast.parse(match[n].strip("`"), mode="eval").body) for n in "xy")
        found = [
            ast.dump(one.values[i])
            for one in self._nodes(ast.Dict) for i, own in enumerate(one.keys)
            if own is not None and ast.dump(own) == key
        ]  # fmt: skip
        return value in found if found else None

    def _part(self, match: re.Match[str]) -> bool | None:
        """ "`left`: the part of the string before the first `sep`", by the values of the run."""
        if (cut := self._cut(match["x"])) is not None:
            side = 0 if match["side"] == "before" else 2
            nth = "partition" if match["nth"] == "first" else "rpartition"
            return cut == (nth, side, _plain_code(match["y"]))
        name, witness = match["x"].strip("`"), Witness(self.run, None)
        texts = [one for one in self.run.history(0, name)[1] if one is not None]
        owners = {
            key: value for key, text in witness.arguments.items()
            if isinstance(value := parse_literal(text), str)
            and key != match["y"].strip("`") and key == (match["z"] or key).strip("`")
        }  # fmt: skip
        if len(owners) != 1 or not texts:
            return None
        [whole] = owners.values()
        mark = Nouns(witness).literal(match["y"])
        parts = whole.partition(mark) if match["nth"] == "first" else whole.rpartition(mark)
        real = parts[0 if match["side"] == "before" else 2]
        return same_value(parse_literal(texts[-1]), real) if parts[1] else None

    def _mark(self, match: re.Match[str]) -> bool | None:
        """ "`sep`: the separator "|"" of what `partition` gives."""
        cut = self._cut(match["x"])
        return None if cut is None else cut[1:] == (1, _plain_code(match["y"]))

    def _cut(self, atom: str) -> tuple[str, int, str] | None:
        """Returns (method, index, code of the mark) of a name, or `s[0]`, that a partition sets."""
        told = atom.strip("`")
        for node in self._nodes(ast.Assign):
            match node.value:
                case ast.Call(
                    func=ast.Attribute(attr="partition" | "rpartition" as how), args=[mark]
                ):
                    target = node.targets[0]
                    names = [ast.unparse(one) for one in getattr(target, "elts", ())]
                    if not names:
                        names = [f"{ast.unparse(target)}[{i}]" for i in range(3)]
                    if told in names:
                        return how, names.index(told), ast.unparse(mark)
        return None

    def _breaks(self, match: re.Match[str]) -> bool | None:
        """The test before the only `break` is what a sentence says, whenever it is made."""
        found = [
            node for node in self._nodes(ast.If)
            if any(isinstance(one, ast.Break) for one in node.body)
        ]  # fmt: skip
        if len(found) != 1 or len(list(self._nodes(ast.While | ast.For))) != 1:
            return None
        return self._holds_at(found[0].lineno, match["when"], denied=False, least=1)

    def _changed(self, match: re.Match[str]) -> bool | None:
        name = match["x"].strip("`")
        known = name in self.code.parameters
        return is_mutated(self.run, self.code, name) if known else None

    def _raised(self, match: re.Match[str]) -> bool | None:
        raises = [node.exc for node in self._nodes(ast.Raise) if node.exc is not None]
        return any(_is(exc, match["x"]) or _is(_called(exc), match["x"]) for exc in raises) or None

    def _returned(self, match: re.Match[str]) -> bool:
        """A way of the program that the witness's run takes."""
        return any(
            _is(node.value, match["x"]) and self._runs_at(node.lineno)
            for node in self._nodes(ast.Return) if node.value is not None
        )  # fmt: skip

    def _loops(self, code: str) -> list[ast.For]:
        return [loop for loop in self._nodes(ast.For) if _is(loop.iter, code)]

    def _built(self, match: re.Match[str]) -> bool:
        return any(
            _is(node, match["y"])
            for loop in self._loops(match["x"]) for node in ast.walk(loop)
            if isinstance(node, ast.expr)
        )  # fmt: skip

    def _updated(self, match: re.Match[str]) -> bool:
        name, code = match["z"].strip("`"), match["y"].strip("`")
        told = ast.dump(ast.parse(f"{name} {code if code[1:2] == '=' else '= ' + code}").body[0])
        return any(
            ast.dump(node) == told
            for loop in self._loops(match["x"]) for node in ast.walk(loop)
            if isinstance(node, ast.stmt)
        )  # fmt: skip

    def _runs(self, match: re.Match[str]) -> bool | None:
        code = ast.dump(ast.parse(match["x"].strip("`")).body[0])
        found = [node for node in self._nodes(ast.stmt) if ast.dump(node) == code]
        if len(found) != 1:
            return None
        return len(self._runs_at(found[0].lineno)) == _told(match)

    def _holds(self, match: re.Match[str]) -> bool | None:
        found = [node for node in self._nodes(ast.If) if _is(node.test, match["x"])]
        if len(found) != 1:
            return None
        states = self._states(found[0].lineno)
        return sum(bool(evaluate(match["x"].strip("`"), state)) for state in states) == _told(match)

    def _needed(self, match: re.Match[str]) -> bool | None:
        """The last time that the test of an `if` is made, it decides the way to the output."""
        found = [node for node in self._nodes(ast.If) if _is(node.test, match["x"])]
        states = self._states(found[0].lineno) if len(found) == 1 else []
        if not states:
            return None
        return bool(evaluate(match["x"].strip("`"), states[-1])) == (match["y"].lower() == "true")

    def _turns(self, match: re.Match[str]) -> bool | None:
        found = self._loops(match["x"])
        if len(found) != 1:
            return None
        header = found[0].lineno
        turns = [o.turns[header] for o in self._runs_at(header) if header in o.turns]
        return sum(1 for turn in turns if turn) == _told(match)

    def _emptied(self, match: re.Match[str]) -> bool | None:
        return self._length(match["x"], 0)

    _itemless = _emptied

    def _sized(self, match: re.Match[str]) -> bool | None:
        return self._length(match["x"], _told(match))

    def _length(self, code: str, told: int | None) -> bool | None:
        """Tells whether an iterable of a line, when the line runs last, has so many items."""
        places = {
            node.lineno
            for node in self._nodes(ast.expr)
            if _is(node, code) and self._runs_at(node.lineno)
        }
        if len(places) != 1:
            return None
        state = self._states(places.pop())[-1]
        return len(list(evaluate(code.strip("`"), state))) == told

    def _adds(self, match: re.Match[str]) -> bool | None:
        code, wanted = match["x"].strip("`"), parse_literal(match["y"].strip("`"))
        found = [
            node.lineno for node in self._nodes(ast.AugAssign | ast.Expr)
            if _is(_added(node), match["x"])
        ]  # fmt: skip
        return any(self._sums_to(line, code, wanted) for line in found) if found else None

    def _sums_to(self, line: int, code: str, wanted: Any) -> bool:
        values = [evaluate(code, state) for state in self._states(line)]
        if isinstance(wanted, list):
            return same_value(values, wanted)
        if isinstance(wanted, str):
            return all(isinstance(one, str) for one in values) and "".join(values) == wanted
        return same_value(sum(values), wanted)

    def _runs_at(self, line: int) -> list[Occurrence]:
        return [one for one in self.run.by_line.get(line, ()) if one.event.frame == 0]

    def _states(self, line: int) -> list[Any]:
        """Returns the states just before each run of a line in the function's own frame."""
        return [self.run.state(0, one.at - 1) for one in self._runs_at(line)]


class Moment(Witness):
    """Holds the variables of the function at one moment of the run."""

    def __init__(self, witness: Witness, state: Any):
        self.run, self.code, self.state = witness.run, witness.code, state
        self.goal, self.result, self.function = "None", None, witness.function
        self.arguments = {
            name: text for name in witness.arguments if (text := state.get(name)) is not None
        }
        self.changing = set()


def _plain_code(atom: str) -> str:
    return ast.unparse(ast.parse(atom.strip("`"), mode="eval"))


def _is(node: ast.AST | None, code: str) -> bool:
    """Tells whether a node's code is that of a text in backticks, apart from layout."""
    try:
        told = ast.parse(f"({code.strip('`').strip()})", mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        return False
    return node is not None and ast.unparse(told) == ast.unparse(node)


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _added(statement: ast.stmt) -> ast.expr | None:
    match statement:
        case ast.AugAssign(op=ast.Add(), value=value):
            return value
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="append"), args=[value])):
            return value
    return None


def _told(match: re.Match[str]) -> int | None:
    word = "no" if match.groupdict().get("never") else (match["n"] or "").strip("`").lower()
    return 0 if word == "never" else number(word)
