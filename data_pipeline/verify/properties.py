"""Reads what a sentence says of a program as a whole: what it modifies, keeps, and never does."""

import ast
import re

from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.branches import Tests
from data_pipeline.verify.concepts import tags_of
from data_pipeline.verify.conditions import METHOD_WORDS, Test
from data_pipeline.verify.lexicon import Phrase
from data_pipeline.verify.phrases import MUTATORS, Code
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.screening import screened
from data_pipeline.verify.signature import TYPES, argument_of, has_type, judged

Found = tuple[JudgedClaim, str]

_NAMED_IN_PLACE = screened(
    r"\b(?:(?P<not>does not|doesn't|not|without|never|do not) )?(?:directly )?(?P<verb>modif(?:y"
    r"|ies|ying)|chang(?:e|es|ing))"
    r" (?P<what>(?:the )?)`(?P<name>\w+)`(?: list| dictionary| array)?(?P<place>,? in[- ]place|"
    r" directly)", re.I,
)  # fmt: skip
_IN_PLACE = screened(
    r"\b(?:(?P<not>does not|doesn't|not|without|never|do not|(?:to )?avoids?|instead of|rather"
    r" than|prevents?(?: it from)?)"
    r" )?(?:directly )?(?P<verb>modif(?:y|ies|ying)|chang(?:e|es|ing)|mutat(?:e|es|ing)|alter(?:s"
    r"|ing)?)"
    r" (?:the |its )?(?P<what>(?:original|input|given)(?: input)?(?: list| dictionary| array|"
    r" string| text| set)?s?|list|dictionary|array)"
    r"(?: `(?P<name>\w+)`)?(?P<place>,? in[- ]place| directly)?", re.I,
)  # fmt: skip


def read_mutation(run: Replay, code: Code, tests: Tests, sentence: str) -> Found | None:
    """Reads "modifies the list in place", "does not modify the original"; gives the rest."""
    match = _IN_PLACE.search(sentence) or _NAMED_IN_PLACE.search(sentence)
    if match is None:
        return _read_copy(run, code, sentence)
    if re.search(r"\b(?:if|when|unless|we are)\b", sentence[: match.start()], re.I):
        return None
    name = match["name"]
    if name and name not in code.parameters:
        return _read_own(code, match, sentence)
    names = [name] if name else list(code.parameters)
    mutated = [one for one in names if is_mutated(run, code, one)]
    if not mutated and not match["not"] and not _is_surely_in_place(run, match, names):
        return None
    truth = f"`{mutated[0]}` is modified in place" if mutated else "nothing is modified in place"
    good = (not mutated) == bool(match["not"])
    return judged(match[0].strip(), good, truth), _without(sentence, match)


def _is_surely_in_place(run: Replay, match: re.Match[str], names: list[str]) -> bool:
    """Tells whether "modifies" cannot mean that a changed copy is returned."""
    values = [argument_of(run, name) for name in names]
    mutable = any(value and isinstance(value[0], list | dict | set) for value in values)
    return mutable and bool(match["place"] or "original" in match["what"])


def _read_own(code: Code, match: re.Match[str], sentence: str) -> Found | None:
    """Reads "modifies the list `r`" of a variable of the function's own."""
    changed = len(code.writes.get(match["name"], ())) > 1
    if not changed or match["not"] or "original" in match["what"] or "input" in match["what"]:
        return None
    return judged(match[0].strip(), True, ""), _without(sentence, match)


def _without(sentence: str, match: re.Match[str]) -> str:
    return sentence[: match.start()] + sentence[match.end() :]


def is_mutated(run: Replay, code: Code, name: str) -> bool:
    """Tells whether the program changes the object that the parameter was given, in place."""
    value = argument_of(run, name)
    if value is not None and isinstance(value[0], str | int | float | tuple | bytes | type(None)):
        return False
    aliases = {name} | _aliases(code, name)
    return any(_mutates(node, aliases, code, name) for node in ast.walk(code.tree))


def _aliases(code: Code, name: str) -> set[str]:
    return {
        other for other, values in code.definitions.items()
        if any(isinstance(value, ast.Name) and value.id == name for value in values)
    }  # fmt: skip


def _mutates(node: ast.AST, aliases: set[str], code: Code, name: str) -> bool:
    target: ast.expr | None = None
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name() as owner, attr=method)) if (
            method in MUTATORS
        ):
            target = owner
        case ast.Subscript(value=ast.Name() as owner, ctx=ast.Store() | ast.Del()):
            target = owner
        case ast.AugAssign(target=ast.Name() as owner):
            target = owner if code.types.get(owner.id) == {"list"} else None
    if not isinstance(target, ast.Name) or target.id not in aliases:
        return False
    rebound = [
        line for line in _plain_bindings(code, target.id) if line < target.lineno
    ]  # fmt: skip
    return not rebound or (target.id != name and not _rebinds_fresh(code, target.id))


def _plain_bindings(code: Code, name: str) -> list[int]:
    return [
        node.lineno for node in ast.walk(code.tree)
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    ]  # fmt: skip


def _rebinds_fresh(code: Code, name: str) -> bool:
    return any(not isinstance(value, ast.Name) for value in code.definitions.get(name, ()))


_COPY = screened(
    r"\bmodif(?:ies|y|ying) (?:a|the) copy of (?:the |its )?(?:(?:input|original) )?(?:`\w+`|list"
    r"|dictionary|array|it)",
    re.I,
)


def _read_copy(run: Replay, code: Code, sentence: str) -> Found | None:
    """Reads "modifies a copy of the list"."""
    match = _COPY.search(sentence)
    if match is None:
        return None
    copies = {
        name for name, values in code.definitions.items()
        if any("copy" in tags_of(value) for value in values)
    }  # fmt: skip
    changed = any(len(code.writes.get(name, ())) > 1 for name in copies)
    mutated = [name for name in code.parameters if is_mutated(run, code, name)]
    if not changed and not mutated:
        return None
    truth = f"`{mutated[0]}` is modified in place" if mutated else ""
    return judged(match[0], not mutated, truth), _without(sentence, match)


_NO_CHECKS = re.compile(
    r"\b(?:does not|doesn't) (?:explicitly )?(?:check(?: for)?|handle|validate|catch)"
    r" (?:for )?(?:any )?(?:errors?|exceptions?|invalid \w+|error conditions)[^.;]*", re.I,
)  # fmt: skip


def read_absence(run: Replay, code: Code, tests: Tests, sentence: str) -> Found | None:
    """Reads "does not check for errors or handle cases where …"."""
    match = _NO_CHECKS.search(sentence)
    if match is None:
        return None
    guards = [
        node for node in ast.walk(code.tree) if isinstance(node, ast.Try | ast.Raise | ast.Assert)
    ]
    rest = _without(sentence, match)
    truth = f"L{guards[0].lineno} does" if guards else ""
    return judged(match[0], not guards, truth), rest


_KEPT = screened(
    r"\b(?:(?:extracts?|retains?|keeps?|collects?|contain(?:s|ing)|includ(?:es|ing)|returns?)(?:"
    r" only(?: the)?)?|only (?:extracts|retains|keeps|includes|adds|contains|appends))"
    r"(?: the)? (?P<kind>[a-z-]+)(?: characters?| letters| elements)?(?: from (?:the"
    r" )?(?:original |input |given )*(?:string|text|`\w+`))?(?=$|[.,;]| in the order)(?: in the"
    r" order (?:that )?they (?:appear|appeared)(?: in the (?:input|original)(?: string)?)?)?", re.I,
)  # fmt: skip
_DROPPED = re.compile(
    r"\bnon-(?P<kind>[a-z]+) characters? (?:are|will be) (?:ignored|skipped|removed|excluded"
    r"|discarded|filtered out|not included)",
    re.I,
)
_KEEPING = frozenset(("append", "add"))


def read_filter(run: Replay, code: Code, tests: Tests, sentence: str) -> Found | None:
    """Reads "keeps only the alphanumeric characters", "non-digit characters are ignored"."""
    match = _KEPT.search(sentence) or _DROPPED.search(sentence)
    if match is None or match["kind"].lower() not in METHOD_WORDS:
        return None
    said = Test(METHOD_WORDS[match["kind"].lower()], Phrase())
    for kept, dropped in tests.regions(said):
        adding = [
            action for action in code.actions if action.verbs & _KEEPING and action.node in kept
        ]
        lost = not any(
            action.node in dropped - kept and action.verbs & _KEEPING for action in code.actions
        )
        filtering = any(
            isinstance(node, ast.ListComp | ast.GeneratorExp | ast.comprehension) for node in kept
        )
        if (adding or filtering) and (lost or filtering):
            rest = _without(sentence, match)
            return judged(match[0], True, ""), rest
    return None


_OUTPUT = re.compile(
    r"^(?:the )?(?:final )?(?:output|result|function (?:always )?returns|function will (?:always )?"
    r"return|return value)(?: of the function)?(?: is| will be| will always be| is always)?"
    r" (?:an?|the) (?:single |new )?(?P<type>[a-z]+)(?: value(?: \(?`True` or `False`\)?)?)?"
    r"(?P<rest>.*)$", re.I | re.S,
)  # fmt: skip


def read_output_type(run: Replay, code: Code, tests: Tests, sentence: str) -> Found | None:
    """Reads "the output is a string …"."""
    match = _OUTPUT.match(sentence)
    kind = TYPES.get(match["type"].lower()) if match else None
    if match is None or kind is None or run.trace.result is None:
        return None
    if re.search(r"\b(?:if|or|either|unless|otherwise)\b", match["rest"]):
        return None
    if match["type"].lower() not in (
        "list",
        "string",
        "integer",
        "dictionary",
        "tuple",
        "float",
        "boolean",
        "set",
        "number",
    ):
        return None
    try:
        value = parse_literal(run.trace.result)
    except LiteralError:
        return None
    rest = re.sub(r"^,? (?:that|which) ", " ", match["rest"])
    return judged(
        f"the output is a {match['type']}", has_type(value, kind), f"it is a {type(value).__name__}"
    ), rest
