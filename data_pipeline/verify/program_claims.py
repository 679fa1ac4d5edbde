"""Reads what a forward monologue says the program does with any input, and tries it.

"If `target` appears three or more times, it returns the index of the first occurrence", "the output
has the same length as the input": the wording becomes code over the parameters and the result,
which must hold for variations of the run's own arguments. It is contradicted by the run itself, or
by every input that was tried; where only some made-up input fails it, it is not checkable.
"""

import ast
import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from data_pipeline.source.literals import is_literal
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.backward.behaviour import Behaviour
from data_pipeline.verify.backward.trials import definition_of
from data_pipeline.verify.backward.witness import Witness
from data_pipeline.verify.backward.wording import MARKUP, without_bold
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.evaluation import Bound, Unknown, evaluate
from data_pipeline.verify.layout import GENERAL
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.rule_wording import RESULT, Wording
from data_pipeline.verify.screening import screened
from data_pipeline.verify.variations import SENTENCE, RunCall, Variations

_MOST_INPUTS = 6  # for one statement
_MOST_FITTING = 40  # from which these are chosen
_MOST_TRIED = 160
_LEAST = 3  # inputs that confirm a statement without a condition
_RULE = re.compile(r"^(?:if|when) (?P<c>[^,]+), (?:then )?(?P<r>.+)$", re.I)
_TURNED = re.compile(r"^(?P<r>(?:it|the function) [^,]+?) (?:if|when) (?P<c>[^,]+)$", re.I)
_OTHERWISE = re.compile(r"^(?:otherwise|else|in all other cases),? (?P<r>.+)$", re.I)
_EITHER = screened(r"\b(?:if|when) .*\b(?:otherwise|else|if not)\b", re.I)
_CHECKS = screened(
    r"\b(?:checks?|determines?|tests?) (?:if|whether) (?P<c>[^,;]+?)"
    r"(?: (?:using|with|by|before) .*)?$",
    re.I,
)
_MEANT = re.compile(
    r"so|(?P<no>not)|(?:it|this|they) (?:is|does|do|are)(?P<no2>n't| not)?(?: true| the case"
    r"| equal| match| the same)?|they match|(?:this|the) (?:condition|check) is "
    r"(?P<no3>not |false)?"
    r"(?:met|true|satisfied)?|both match",
    re.I,
)
_REFERS = re.compile(
    r"(?:otherwise|else|in all|(?:if|when) (?:so|not|it|this|they|the condition|the check"
    r"|both match))\b", re.I,
)  # fmt: skip
_OF_EMPTY = re.compile(r"\b(?:empty|length|no (?:elements|items|characters)|zero|0|len)\b", re.I)
_NEVER_HELD = re.compile(r"\b(?:if|when|unless|otherwise|until|except|depending|or)\b", re.I)
_LEAD = re.compile(
    r"^(?:(?:finally|then|lastly|in the end|overall|in summary),? )+",
    re.I,
)
_ON_THE_WAY = screened(  # such a value need not be the result
    r".*\b(?:(?:counts?|computes?|calculates?|finds?|determines?) (?!and return)|converts? "
    r"|(?:will be|is|gets) (?:appended|added|inserted) )",
    re.I,
)
_WILL = r"(?:(?:will|should|would|simply|also|just|immediately|always|then|is expected to) )*"
_RETURNS = re.compile(
    rf"^(?:it|(?:the|this) function) {_WILL}(?:(?P<on>counts?|computes?|calculates?|finds?|"
    rf"determines?)(?: and returns?)?|returns?) (?P<v>.+)$|"
    rf"^(?:the )?(?:function's )?(?:final )?(?:output|result|returned? value)(?: \w+)?"
    rf"(?: of the function)? {_WILL}(?:be|is)(?: always| also)? (?P<w>.+)$|"
    rf"^(?P<x>(?:the |an? |`).+?) (?:will be|is|should be) returned$|"
    rf"^(?:the )?(?:final )?output(?: \w+)? {_WILL}(?P<u>(?:have|has) the same .+)$",
    re.I,
)


@dataclasses.dataclass(frozen=True)
class Statement:
    """Holds one statement: where `condition` is `holds`, `promise` holds of the result.

    condition: code over the parameters; "True" for every input.
    promise: code over the parameters and `RESULT`, "raises …" for an exception.
    """

    text: str
    condition: str
    holds: bool
    promise: str


class ProgramClaims:
    """Judges sentences about the program of one run by runs of other inputs."""

    def __init__(self, variations: Variations):
        self.variations, self.run = variations, variations.run
        self.checked: str | None = None  # the condition that was last said to be checked
        self.told: list[str] = []  # the conditions of the rules before
        self.cases: list[str] | None = []  # those of the rules before; None if one is not read

    @functools.cached_property
    def _witness(self) -> Witness:
        return Witness(self.run, None)

    @functools.cached_property
    def wording(self) -> Wording:
        given = self.variations.given
        changing = self._witness.changing
        names = {n.id for n in self.run.nodes if isinstance(n, ast.Name)} - set(given)
        found = {name: definition_of(self._witness, name) for name in sorted(names)}
        definitions = {n: c for n, c in found.items() if c and not _names(c) & changing
                       and _names(c) - set(given) <= _BUILT_IN}  # fmt: skip
        tests = _branch_tests(self.run.tree, given)
        return Wording(given, definitions, tests, self.variations.ask)

    def note(self, sentence: str) -> None:
        """Takes note of what a sentence says is checked: "if it is" of the next one means that."""
        if (match := _CHECKS.search(_plain(sentence))) and self.variations.given:
            told = self.wording.condition(match["c"])
            self.checked, self.cases = told, []
            if told is None:
                self.cases = None

    def read(self, sentence: str) -> list[JudgedClaim] | None:
        """Returns the claims of a sentence that is read whole, None of any other."""
        text = _plain(sentence)
        if not self.variations.given or len(text) > 400:
            return None
        statement = self.statement(_LEAD.sub("", text))
        claim = self._judge(statement) if statement else None
        unsure = _ON_THE_WAY.match(text) or _REFERS.match(text)
        if claim is not None and (claim.verdict == CONFIRMED or not unsure):
            return [claim]
        tried = Behaviour(self._witness, self.variations.run_call).read(text)
        return tried if tried and all(one.verdict == CONFIRMED for one in tried) else None

    def statement(self, text: str) -> Statement | None:
        if match := _OTHERWISE.match(text):
            cases, self.cases = self.cases, []
            promise = self._promise(match["r"], " ")
            code = " and ".join(f"not ({one})" for one in cases or ())
            return Statement(text, code, True, promise) if code and promise else None
        match = _RULE.match(text) or (None if _EITHER.search(text) else _TURNED.match(text))
        if match is None:
            rule = _NEVER_HELD.search(text) and not _EITHER.search(text)
            promise = None if rule else self._promise(text, None)
            return Statement(text, "True", True, promise) if promise else None
        code = self._condition(match["c"])
        if self.cases is not None:
            self.cases = [*self.cases, code] if code else None
        promise = self._promise(match["r"].strip(" .;"), code) if code else None
        if code and promise and code not in self.told:
            self.told.append(code)
        return Statement(text, code, True, promise) if code and promise else None

    def _condition(self, text: str) -> str | None:
        if match := _MEANT.fullmatch(text):
            if self.checked is None:
                return None
            negated = match["no"] or match["no2"] or match["no3"]
            return f"not ({self.checked})" if negated else self.checked
        return self.wording.condition(text)

    def _promise(self, text: str, condition: str | None) -> str | None:
        if condition and text.endswith(" of the first occurrence"):
            counted = re.search(r"\.count\(\((.+?)\)\)", condition)
            text += f" of `{counted[1]}`" if counted else ""
        told = self.variations.result(text, condition) if condition else None
        if told is not None:
            return told if told.startswith("raises") else f"{RESULT} == ({told})"
        if match := _RETURNS.match(text):
            value = next(match[name] for name in "vwxu" if match[name])
            if self._is_returned_code(value, condition):
                return None
            counts = "the number of " if (match["on"] or "").lower().startswith("count") else ""
            return self.wording.result(counts + re.sub(r"^(?:have|has) ", "", value))
        return self.wording.event(text) if condition else None

    def _is_returned_code(self, value: str, condition: str | None) -> bool:
        """Returns whether a text quotes what a `return` says: code, whose names change on the way.

        `return array` after `array.append(1)` does not give the argument `array` as it came. Under
        a condition a literal is no code alone: "if `n` is 0, it returns `-1`".
        """
        if condition is not None and is_literal(value.strip(" `.")):
            return False
        try:
            told = ast.dump(ast.parse(value.strip(" `."), mode="eval").body)
        except (SyntaxError, ValueError):
            return False
        returns = (node for node in self.run.nodes if isinstance(node, ast.Return))
        return told in {ast.dump(node.value) for node in returns if node.value is not None}

    # ---- trying

    def _judge(self, statement: Statement) -> JudgedClaim | None:
        tried = [
            (arguments, *self._holds(statement, arguments)) for arguments in self._inputs(statement)
        ]
        known = [one for one in tried if one[1] is not None]
        left = [one for one in known if one[1] or not self._is_of_another(statement, one[0])]
        known = left if len(left) > 1 else known
        if not known:
            return None
        if all(held for _, held, _ in known):
            enough = len(known) >= (_LEAST if statement.condition == "True" else 1)
            if not _OF_EMPTY.search(statement.text):  # which meet most conditions idly
                enough = enough and not all(self._is_emptied(one[0]) for one in known)
            return JudgedClaim("code", statement.text, CONFIRMED) if enough else None
        usual = [one for one in known if self._is_usual(*one)] or known
        wrong = [one for one in usual if not one[1]]
        shown, _, real = (wrong or [one for one in known if not one[1]])[0]
        false = bool(wrong) and (
            wrong[0][0] == self.variations.given or len(wrong) == len(usual)
            or (len(wrong) > 1 and 2 * len(wrong) >= len(usual))
        )  # fmt: skip
        verdict = CONTRADICTED if false else NOT_CHECKABLE
        return JudgedClaim(
            "code", statement.text, verdict, f"{self.variations.call(shown)} == {real}"
        )

    def _is_usual(self, arguments: Mapping[str, Any], _: bool | None, real: str | None) -> bool:
        """Returns whether an input may refute: one with new empty values or an error is odd."""
        odd = self._is_emptied(arguments) or (real or "").startswith("raises")
        return arguments == self.variations.given or not odd

    def _is_of_another(self, statement: Statement, arguments: Mapping[str, Any]) -> bool:
        """Returns whether an input meets the condition of a rule told before, which comes first."""
        if statement.condition == "True" or arguments == self.variations.given:
            return False
        earlier = (one for one in self.told if one != statement.condition)
        return any(
            self._fits(dataclasses.replace(statement, condition=one, holds=True), arguments)
            for one in earlier
        )

    def _is_emptied(self, arguments: Mapping[str, Any]) -> bool:
        given = self.variations.given
        return any(
            isinstance(value, str | list | dict | tuple) and not value and given[name]
            for name, value in arguments.items()
        )

    def _inputs(self, statement: Statement) -> list[dict[str, Any]]:
        """Returns arguments that fit the condition: the run's own, and some of the rest."""
        found: list[dict[str, Any]] = []
        for number, (arguments, changed) in enumerate(self.variations.tried()):
            if number > _MOST_TRIED or len(found) > _MOST_FITTING or (changed > 1 and found):
                break
            if arguments not in found and self._fits(statement, arguments):
                found.append(arguments)
        step = max(1, (len(found) - 1) / (_MOST_INPUTS - 1))
        return [found[int(i * step)] for i in range(_MOST_INPUTS) if int(i * step) < len(found)]

    def _fits(self, statement: Statement, arguments: Mapping[str, Any]) -> bool:
        try:
            return bool(evaluate(statement.condition, _state(arguments))) == statement.holds
        except (Unknown, ValueError, RecursionError):
            return False

    def _holds(
        self, statement: Statement, arguments: Mapping[str, Any]
    ) -> tuple[bool | None, str | None]:
        """Returns whether a promise holds for one input, None if that is unknown; the outcome."""
        real = self.variations.outcome(arguments)
        if real is None or statement.promise.startswith("raises"):
            return (None if real is None else real.startswith(statement.promise)), real
        if not is_literal(real):
            return (None if statement.condition == "True" else False), real
        try:
            return bool(evaluate(statement.promise, _state(arguments, real))), real
        except (Unknown, ValueError, RecursionError):
            return None, real


_BUILT_IN = frozenset(
    ("len", "sum", "min", "max", "sorted", "list", "str", "int", "set", "tuple", "abs", "range")
)


def _plain(sentence: str) -> str:
    return without_bold(MARKUP.sub("", sentence, count=1)).strip(" .;")


def _names(code: str) -> set[str]:
    return {n.id for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name)}


def _state(arguments: Mapping[str, Any], result: str | None = None) -> Any:
    known = {name: repr(value) for name, value in arguments.items()}
    return Bound(None, known if result is None else {**known, RESULT: result})


def _branch_tests(tree: ast.AST, given: Mapping[str, Any]) -> list[str]:
    """Returns the tests of the only `if` chain of a function, or the two parts of its one test."""
    function = next((n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)), None)
    chains = [n for n in (function.body if function else ()) if isinstance(n, ast.If)]
    if len(chains) != 1:
        return []
    tests, rest = [], [chains[0]]
    while len(rest) == 1 and isinstance(rest[0], ast.If):
        tests.append(rest[0].test)
        rest = rest[0].orelse
    if len(tests) == 1 and isinstance(tests[0], ast.BoolOp) and len(tests[0].values) == 2:
        tests = tests[0].values
    codes = [ast.unparse(test) for test in tests]
    return codes if all(_names(code) <= set(given) | _BUILT_IN for code in codes) else []


def read_rules(general: ProgramClaims, line: str) -> tuple[list[JudgedClaim], str]:
    """Returns the claims of the rules in a line that are decided, and the line without them."""
    claims, rest = [], []
    for sentence in SENTENCE.split(line):
        found = general.read(sentence)
        if (claim := general.variations.judge(sentence)) is not None:
            claims.append(claim)
        elif found is not None:
            claims += found
        else:
            rest.append(sentence)
        general.note(sentence)
    return claims, " ".join(rest)


def rule_calls(run: Replay, lines: Sequence[str]) -> list[str]:
    """Returns the calls that the rules of a monologue need, each once."""
    calls: dict[str, Any] = {}
    run_call: RunCall = calls.setdefault
    general, section = ProgramClaims(Variations(run, run_call)), ""
    for line in lines:
        if line.startswith("#"):
            section = line.strip("# :*").lower()
        elif section.startswith(GENERAL):
            for sentence in SENTENCE.split(line):
                calls |= dict.fromkeys(general.variations.calls(sentence))
            read_rules(general, line)
    return list(calls)
