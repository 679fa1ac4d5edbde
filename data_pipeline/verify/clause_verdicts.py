"""Judges the clauses of a sentence that describes code against the actions of the program."""

import ast
import dataclasses
import re
from collections.abc import Iterator, Sequence

from data_pipeline.verify.actions import Action
from data_pipeline.verify.branches import Region, Tests, compare_conditions
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.clauses import Clause
from data_pipeline.verify.concepts import STRICT
from data_pipeline.verify.conditions import (
    Condition,
    Test,
    read_condition,
    read_test,
)
from data_pipeline.verify.lexicon import Phrase, Token, read_tokens
from data_pipeline.verify.matching import TALK_WORDS, Matcher
from data_pipeline.verify.phrases import Code, atom_in, one_phrase, phrase_fits
from data_pipeline.verify.returned import without_forestalled
from data_pipeline.verify.wordlists import word_set

Focus = ast.stmt | frozenset[ast.AST] | None  # a statement, the code that ran there, or all code
_GENERIC = word_set(
    """
    try attempt perform process handle ensure operate work execute contain include catch output
    keep
    """
)
_CONSTRUCTS: dict[str, type[ast.AST]] = {
    "for loop": ast.For, "while loop": ast.While, "list comprehension": ast.ListComp,
    "slicing": ast.Slice, "dictionary comprehension": ast.DictComp,
    "set comprehension": ast.SetComp,
    "generator expression": ast.GeneratorExp, "lambda": ast.Lambda, "try block": ast.Try,
    "conditional expression": ast.IfExp, "ternary": ast.IfExp,
}  # fmt: skip
_CONSTRUCT_WORDS = word_set(" ".join(_CONSTRUCTS))
_LOOPING = word_set("continue loop run iterate repeat enter")
_COUNTED = TALK_WORDS | word_set(
    "specified modified times appear appears occur occurs number many occurrences"
)
_USING = word_set("use utilize apply start begin enter")
_CREATING = word_set("create construct build modify update make store use define initialize")
_WORKING = word_set("try attempt perform process handle operate work execute ensure")
_CHECKS = word_set("check determine verify test evaluate examine ensure compare")


def focused_nodes(focus: Focus) -> frozenset[ast.AST] | None:
    """Returns what a step at a statement may speak of; at a `def` line no statement has run yet.

    None stands for all code.
    """
    if not isinstance(focus, ast.stmt):
        return focus
    if isinstance(focus, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return frozenset()
    return frozenset(ast.walk(focus))


class ClauseJudge:
    """Judges the clauses of one sentence in order; remembers their condition."""

    def __init__(self, code: Code, tests: Tests, matcher: Matcher, focus: Focus):
        self.code, self.tests, self.matcher = code, tests, matcher
        self.focus = focused_nodes(focus)
        self.condition: Condition | None = None
        self.asked: Condition | None = None  # by the latest "checks if"
        self.truth: str | None = None
        self.created = False  # the latest clause told that something is made

    def judge(self, clause: Clause) -> str | None:
        """Returns a verdict, "" if the clause says nothing, None if it was not read."""
        self.truth = None
        if not clause.verb:
            return self._judge_bare(clause)
        if clause.verb in _CHECKS and clause.marker in ("if", "whether", ""):
            return self._judge_check(clause)
        regions: list[tuple[Region, Region]] | None = None
        if found := self._judge_going(clause):
            return found
        if clause.verb in _GENERIC and clause.marker == "whether" and self._is_based_on(clause):
            return ""
        if clause.verb in _LOOPING and clause.marker in ("while", "until"):
            return self._judge_loop(clause)
        if clause.verb in _USING and (found := self._judge_construct(clause)):
            return found
        if clause.verb == "count":
            return self._judge_count(clause)
        if clause.marker:
            said = self._said(clause)
            if said is None and clause.marker == "otherwise":
                return self._judge_action(clause, self.tests.otherwise())
            if said is None and clause.marker == "if" and _finds_nothing(clause.condition):
                return self._judge_action(clause, self.tests.after_loops())
            if said is None:
                return self._judge_result(clause, None)
            regions = self.tests.regions(said)
            if not regions:
                return self._judge_result(clause, said)
        if clause.verb in _GENERIC and not clause.subject.atoms:
            return "" if self._is_talk(clause) or self._is_based_on(clause) else None
        if clause.negated:
            return None
        clause = self._without_echo(clause)
        self.created = clause.verb in _CREATING
        if self.created and self._is_talk(clause):
            return ""
        verdict = self._judge_action(clause, regions)
        if regions and clause.verb == "return" and verdict == CONFIRMED:
            sure = [(without_forestalled(yes), no) for yes, no in regions]
            return verdict if self._judge_action(clause, sure) == CONFIRMED else None
        return verdict

    def _judge_going(self, clause: Clause) -> str | None:
        """Judges "processes each character of `s`": a loop goes over them."""
        if clause.verb not in _GOING or clause.marker or not _EACH & set(_all_words(clause)):
            return None
        return self._judge_action(_as_iterating(clause), None)

    def _judge_loop(self, clause: Clause) -> str | None:
        """Judges "continues as long as `n` is positive" by the tests of the program's loops."""
        said = read_condition(clause.condition)
        if said is None:
            return None
        said = said.negated() if clause.marker == "until" else said
        loops = [node for node in ast.walk(self.code.tree) if isinstance(node, ast.While)]
        found = [compare_conditions(said, read_test(loop.test), self.tests.fits) for loop in loops]
        if "same" in found:
            return CONFIRMED
        if found == ["opposite"]:
            self.truth = f"while {ast.unparse(loops[0].test)}"
            return CONTRADICTED
        return None

    def _judge_construct(self, clause: Clause) -> str | None:
        """Judges "a `for` loop is used", "uses a list comprehension"."""
        phrase = one_phrase(clause.subject, *clause.slots.values())
        text = " ".join(token.text.lower() for token in phrase.tokens)
        named = [kind for name, kind in _CONSTRUCTS.items() if name in text]
        left = [w for w in phrase.words if w not in TALK_WORDS and w not in _CONSTRUCT_WORDS]
        atoms = [atom for atom in phrase.atoms if atom not in ("for", "while", "if", "try")]
        if not named or left or atoms or clause.marker or clause.negated:
            return None
        nodes = list(ast.walk(self.code.tree))
        found = all(any(isinstance(node, kind) for node in nodes) for kind in named)
        return CONFIRMED if found else None

    def _judge_count(self, clause: Clause) -> str | None:
        """Judges "counts how many times "a" appears in `text`": a counter under a test of it."""
        phrase = one_phrase(clause.subject if clause.passive else None, *clause.slots.values())
        if clause.negated or clause.marker:
            return None
        plain = all(word in _COUNTED for word in phrase.words)
        if not plain or not phrase.atoms:
            return self._judge_action(clause, None) or self._judge_counter(phrase)
        for action in self.code.actions:
            if "increment" not in action.verbs:
                continue
            around = [
                node for node in self.code.around(action.node) if isinstance(node, ast.If | ast.For)
            ]
            headers = [node.test if isinstance(node, ast.If) else node.iter for node in around]
            guarded = any(isinstance(node, ast.If) for node in around)
            if guarded and all(any(atom_in(a, header) for header in headers) for a in phrase.atoms):
                return CONFIRMED
        return self._judge_action(clause, None)

    def _judge_counter(self, phrase: Phrase) -> str | None:
        """Judges "counts how many words are alphabetic": a counter under a test of that."""
        words = Phrase(tuple(t for t in phrase.tokens if t.lower not in _COUNTED))
        if not any(word in STRICT for word in words.words):
            return None
        for action in self.code.actions:
            if {"increment", "with"} - {*action.verbs, *action.roles}:
                continue
            tests = [n.test for n in self.code.around(action.node) if isinstance(n, ast.If)]
            if len(tests) == 1 and phrase_fits(self.code, words, tests[0]) is True:
                return CONFIRMED
        return None

    def _without_echo(self, clause: Clause) -> Clause:
        """Drops ", which is an empty string" from a clause that stands under that condition."""
        given = clause.slots.get("object")
        told = self.condition
        if given is None or not isinstance(told, Test) or told.name != "empty" or not told.positive:
            return clause
        match [token.lower for token in given.tokens[-5:]]:
            case [_, "which", "is", "an", "empty"] | ["which", "is", "an", "empty", _]:
                cut = next(i for i, token in enumerate(given.tokens) if token.lower == "which")
                slots = {**clause.slots, "object": Phrase(given.tokens[:cut])}
                return dataclasses.replace(clause, slots=slots)
        return clause

    def _said(self, clause: Clause) -> Condition | None:
        """Returns the condition that a clause stands under, also "if it is" and "otherwise"."""
        words = [token.lower for token in clause.condition]
        if clause.marker == "otherwise":
            if self.condition is None:
                return None
            self.condition = self.condition.negated()
            return self.condition
        if refers(clause.condition):
            denied = bool(DENIALS & set(words)) != (clause.marker in ("unless", "until"))
            asked = self.asked or self._only_test()
            if EQUAL_WORDS & set(words):
                asked = as_equality(asked, words)
            self.condition = asked.negated() if asked and denied else asked
            return self.condition
        said = read_condition(clause.condition)
        if said is not None:
            said = self._resolved(said)
            self.condition = said.negated() if clause.marker in ("unless", "until") else said
            return self.condition
        return None

    def _only_test(self) -> Condition | None:
        """Returns the test of a program that makes only one, "the condition" of its description."""
        found = [real for real, node, *_ in self.tests.found if not self._heads_loop(node)]
        return found[0] if len(found) == 1 else None

    def _heads_loop(self, node: ast.AST) -> bool:
        return isinstance(self.code.parents.get(node), ast.While)

    def _resolved(self, said: Condition) -> Condition:
        """Takes the subject of "it is not found" from the condition before it."""
        if not isinstance(said, Test) or not isinstance(self.condition, Test):
            return said
        subject = said.subject
        if (
            isinstance(subject, Phrase)
            and not subject.atoms
            and set(subject.words) <= {"it", "they"}
        ):
            return Test(said.name, self.condition.subject, said.argument, said.positive)
        return said

    def _judge_check(self, clause: Clause) -> str | None:
        said = read_condition(clause.condition) if clause.condition else _presence(clause)
        if clause.negated and clause.condition:
            return self._judge_missing_check(said)
        if said is None:
            if not clause.condition and not clause.slots:
                return "" if self._is_talk(clause) else None
            return None if clause.condition else self._judge_action(clause, None)
        self.condition = self.asked = self._resolved(said)
        if (led := _LED.match(clause.text)) is not None:
            return self._judge_led_check(led[1])
        if self.tests.states(self.condition, self.focus) or self._value_states(said):
            return CONFIRMED
        return None

    def _judge_led_check(self, words: str) -> str | None:
        """Judges "if `x` is empty, it checks if …": whether that test is made only then."""
        given = read_condition(read_tokens(words))
        regions = self.tests.regions(given) if given is not None else []
        asked = self.asked
        found = asked is not None and any(self.tests.states(asked, yes) for yes, _ in regions)
        return CONFIRMED if found else None

    def _judge_missing_check(self, said: Condition | None) -> str | None:
        """Judges "does not check if the list is empty"."""
        if said is None:
            return None
        if self.tests.states(said):
            self.truth = "the program tests it"
            return CONTRADICTED
        return CONFIRMED

    def _value_states(self, said: Condition) -> bool:
        """Tells whether an expression of the program has the condition as its value."""
        return any(self._compare_value(said, action.roles["object"]) for action in self._values())

    def _values(self) -> Iterator[Action]:
        for action in self.code.actions:
            if self.focus is not None and action.node not in self.focus:
                continue
            if "return" in action.verbs and isinstance(action.roles.get("object"), ast.expr):
                yield action

    def _compare_value(self, said: Condition, value: ast.expr | str) -> str | None:
        if not isinstance(value, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Call):
            return None
        return compare_conditions(said, read_test(value), self.tests.fits)

    def _judge_result(self, clause: Clause, said: Condition | None) -> str | None:
        """Judges "returns `True` if n is even" where the test itself is returned."""
        given = clause.slots.get("object")
        if said is None or clause.verb != "return" or given is None or clause.negated:
            return None
        if given.atoms[:1] not in (("True",), ("False",)):
            return None
        verdicts = {self._compare_value(said, action.roles["object"]) for action in self._values()}
        if (
            len(verdicts) != 1
            or None in verdicts
            or given.atoms[1:] not in ((), ("False",), ("True",))
        ):
            return None
        good = verdicts == {"same" if given.atoms[0] == "True" else "opposite"}
        self.truth = "; ".join(ast.unparse(action.statement) for action in self._values())
        return CONFIRMED if good else CONTRADICTED

    def _judge_bare(self, clause: Clause) -> str | None:
        if clause.marker and clause.marker != "otherwise":
            said = self._said(clause)
            if said is None or not self.tests.states(said):
                return None
        names = clause.subject.atoms
        made = self.created and names and all(name in self.code.definitions for name in names)
        if made and all(word in TALK_WORDS for word in clause.subject.words):
            return CONFIRMED
        return "" if self._is_talk(clause) else None

    def _is_talk(self, clause: Clause) -> bool:
        """Tells whether a clause says nothing that could be false."""
        phrase = one_phrase(clause.subject, *clause.slots.values())
        function = self.code.function.name if self.code.function else ""
        atoms = [atom for atom in phrase.atoms if atom.removesuffix("()") != function]
        return not atoms and all(word in TALK_WORDS for word in phrase.words)

    def _is_based_on(self, clause: Clause) -> bool:
        """Tells whether a clause only says that the function works on names of the program."""
        if clause.verb not in _WORKING:
            return False
        phrase = one_phrase(clause.subject, *clause.slots.values())
        known = {*self.code.names, self.code.function.name if self.code.function else ""}
        return all(atom in known for atom in phrase.atoms) and all(
            word in TALK_WORDS or word in ("presence", "digits", "series", "each")
            for word in phrase.words
        )

    def _judge_action(
        self, clause: Clause, regions: list[tuple[Region, Region]] | None
    ) -> str | None:
        actions = [
            action for action in self.code.actions
            if clause.verb in action.verbs and (self.focus is None or action.node in self.focus)
        ]  # fmt: skip
        inside = [a for a in actions if regions is None or any(a.node in yes for yes, _ in regions)]
        verdicts = [self.matcher.matches(clause, action) for action in inside]
        if True in verdicts:
            return CONFIRMED
        if regions is not None:
            return self._judge_elsewhere(clause, actions, inside, regions)
        meant = [
            (action, verdict) for action, verdict in zip(inside, verdicts, strict=True)
            if verdict is False or self.matcher.is_anchored(clause, action)
        ]  # fmt: skip
        if regions is None and (other := self._put_at_other_end(clause)) is not None:
            self.truth = ast.unparse(other)
            return CONTRADICTED
        if meant and all(verdict is False for _, verdict in meant):
            self.truth = ast.unparse(meant[0][0].statement).partition("\n")[0]
            return CONTRADICTED
        return None

    def _put_at_other_end(self, clause: Clause) -> ast.stmt | None:
        """Returns `s = x + s`, the only thing done to a string that is said to be appended to."""
        names = clause.slots["to"].atoms if "to" in clause.slots else ()
        if clause.verb not in ("append", "prepend") or len(names) != 1:
            return None
        if self.code.types.get(names[0]) != frozenset(("str",)):
            return None
        grown = [
            node for node in ast.walk(self.code.tree)
            if (isinstance(node, ast.AugAssign) and ast.unparse(node.target) == names[0])
            or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == names[0]
                and atom_in(names[0], node.value))
        ]  # fmt: skip
        match grown:
            case [ast.Assign(value=ast.BinOp(left=one, op=ast.Add(), right=two))]:
                kept = two if clause.verb == "append" else one
                other = one if clause.verb == "append" else two
                if ast.unparse(kept) == names[0] and not atom_in(names[0], other):
                    return grown[0]
        return None

    def _judge_elsewhere(
        self, clause: Clause, actions: list[Action], inside: list[Action],
        regions: list[tuple[Region, Region]],
    ) -> str | None:  # fmt: skip
        """Contradicts "if x, it returns y" where y is returned only if not x."""
        if clause.verb != "return" or not clause.slots.get("object", Phrase()).atoms:
            return None
        other = [a for a in actions if a not in inside and any(a.node in no for _, no in regions)]
        if any(self.matcher.matches(clause, action) is True for action in other) and all(
            self.matcher.plainly_differs(clause, action) for action in inside
        ):
            self.truth = "; ".join(ast.unparse(a.statement).partition("\n")[0] for a in inside)
            return CONTRADICTED
        return None


_GOING = word_set("process examine")
_EACH = word_set("each every")


def _all_words(clause: Clause) -> tuple[str, ...]:
    return one_phrase(*clause.slots.values()).words


def _as_iterating(clause: Clause) -> Clause:
    """Returns "processes each character of `s`" as "iterates over each character of `s`"."""
    slots = {"over" if role == "object" else role: told for role, told in clause.slots.items()}
    return dataclasses.replace(clause, verb="iterate", slots=slots)


_LED = re.compile(r"^(?:if|when) (.+?) ?, (?:then |the function |it )+(?:also )?check", re.I)


def _finds_nothing(condition: Sequence[Token]) -> bool:
    """Tells whether a condition is that a loop ends by itself: "no empty line is found"."""
    words = [token.lower for token in condition]
    if len(words) > 7 or {"that", "which"} & set(words):
        return False
    ends = words[:2] in (["the", "loop"], ["no", "such"]) or words[:1] in (["no"], ["none"])
    return ends and bool(_ENDED & set(words)) and not any(t.kind == "code" for t in condition)


_ENDED = word_set("found completes ends finishes met exists matched satisfies match matches")
DENIALS = word_set("not doesn't isn't aren't don't no false fails unmet")
_POINTING = word_set("it they so not this that both such these")


EQUAL_WORDS = word_set("equal same match matches")


def as_equality(asked: Condition | None, words: Sequence[str]) -> Condition | None:
    """Returns what "they are equal" or "they match" affirms where a condition was asked.

    Of `a != b` it is the opposite; of `s.startswith(t)` only "it matches" may be said.
    """
    if isinstance(asked, Test) and asked.name == "==":
        return dataclasses.replace(asked, positive=True)
    told = EQUAL_WORDS & set(words)
    return asked if told <= {"match", "matches"} else None


def refers(condition: Sequence[Token]) -> bool:
    """Tells whether a condition is only pointed at: "it does not", "the condition is met"."""
    words = [token.lower for token in condition]
    if any(token.kind in ("code", "text") and token.text != "True" for token in condition):
        return False
    if words[:1] == ["such"]:
        return words[-1] in ("found", "met", "exists", "true", "satisfied")
    named = " ".join(words[:2]) in ("the condition", "this condition", "the check", "the test")
    return (named or words[:1] in [[word] for word in _POINTING]) and set(words) <= _REFERRING


_REFERRING = word_set(
    """
    it they so not this that is are does do doesn't isn't was the case condition true found
    match one no met holds exists if false the satisfied fails check test both equal these matches
    don't aren't same
    """
)


def _presence(clause: Clause) -> Condition | None:
    """Reads "checks for the presence of x in y"."""
    about = clause.slots.get("for")
    if about is None or "presence" not in about.words or "in" not in clause.slots:
        return None
    tokens = tuple(token for token in about.tokens if token.lower not in ("the", "presence", "of"))
    return Test("in", Phrase(tokens), clause.slots["in"])
