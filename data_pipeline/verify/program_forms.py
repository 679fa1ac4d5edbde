"""Reads what sentences say of a program in fixed forms: recursion, endless loops, lengths, tables.

Every reader returns a judged claim and the sentence without it, as those of `properties` do.
"""

import ast
import builtins
import re
from collections.abc import Callable

from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.phrases import Code, atom_in
from data_pipeline.verify.properties import is_mutated
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.result_forms import RESULT_FORMS, without
from data_pipeline.verify.screening import screened
from data_pipeline.verify.signature import TYPES, argument_of, has_type, judged

Found = tuple[JudgedClaim, str]
Form = Callable[[Replay, Code, str], Found | None]


def read_forms(run: Replay, code: Code, text: str) -> tuple[list[JudgedClaim], str]:
    """Returns the claims of known forms, and what is left of the sentence beside them."""
    claims = []
    for form in _FORMS:
        if found := form(run, code, text):
            claims.append(found[0])
            text = found[1]
    return claims, text


_RECURSION = re.compile(
    r"^(?:the )?(?:function|it|method|program)(?: `\w+`)? (?:(?:uses|relies on|works by|employs)"
    r" recursion|is recursive|(?:recursively )?calls itself(?: recursively)?)"
    r"(?:,? (?:which means|meaning)(?: that)? it (?:may|can|will|might) call itself"
    r"(?: multiple times| repeatedly| again)?)?(?=[.,;]|$)", re.I,
)  # fmt: skip


def _recursion(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "the function uses recursion"."""
    match = _RECURSION.search(text)
    if match is None or code.function is None:
        return None
    calls = any(
        isinstance(node, ast.Call) and ast.unparse(node.func) == code.function.name
        for node in ast.walk(code.function)
    )
    return judged(match[0], calls, "the function does not call itself"), without(text, match)


_ENDLESS = re.compile(
    r"^(?:(?:the )?(?:function|it|program) )?(?:then )?(?:enters|starts|runs|uses|begins|has) an"
    r" (?:infinite|endless) (?:`while` )?loop(?: \(?`while True:?`\)?)?", re.I,
)  # fmt: skip


def _endless(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "enters an infinite loop (`while True`)"."""
    match = _ENDLESS.search(text)
    if match is None:
        return None
    endless = any(
        isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and node.test.value
        for node in ast.walk(code.tree)
    )
    return (judged(match[0], True, ""), without(text, match)) if endless else None


_NESTED = re.compile(
    r"^(?:(?:the )?(?:function|it|program) )?(?:then )?(?:uses|has|contains|consists of) (?:two |a"
    r" pair of )?nested (?:`?for`? |`?while`? )?loops?", re.I,
)  # fmt: skip


def _nested(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "uses two nested loops"."""
    match = _NESTED.search(text)
    if match is None:
        return None
    loops = [node for node in ast.walk(code.tree) if isinstance(node, ast.For | ast.While)]
    nested = any(
        inner is not outer and isinstance(inner, ast.For | ast.While)
        for outer in loops
        for inner in ast.walk(outer)
    )
    several = any(
        isinstance(n, ast.ListComp) and len(n.generators) > 1 for n in ast.walk(code.tree)
    )
    if several and not nested:
        return None
    return judged(match[0], nested, "no loop stands in another"), without(text, match)


_READS_ONLY = screened(r"\bit only reads (?:from )?(?P<what>it|them|`\w+`|the \w+(?: \w+)?)", re.I)


def _reads_only(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "it only reads from it"."""
    match = _READS_ONLY.search(text)
    if match is None:
        return None
    name = match["what"].strip("`")
    names = [name] if name in code.parameters else code.parameters
    mutated = [one for one in names if is_mutated(run, code, one)]
    truth = f"`{mutated[0]}` is modified in place" if mutated else ""
    return judged(match[0], not mutated, truth), without(text, match)


_SAME_LENGTH = re.compile(
    r"^(?:the )?(?:output|result|returned|resulting|new)(?: list| string| array)?"
    r"(?: will(?: always)?| should)? (?:have|has|be(?: of)?|is(?: of)?) (?:always )?"
    r"the same (?:length|size|number of (?:elements|items|characters)) as the"
    r" (?:input|original)(?: list| string| array| `\w+`)?"
    r"(?=[.,;]|$)", re.I,
)  # fmt: skip


def _same_length(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "the output list will have the same length as the input list"."""
    match = _SAME_LENGTH.search(text)
    if match is None or run.trace.result is None:
        return None
    sizes = [
        size for name in code.parameters if (size := _size(argument_of(run, name))) is not None
    ]
    try:
        result = parse_literal(run.trace.result)
    except LiteralError:
        return None
    if len(sizes) != 1 or not isinstance(result, list | str | tuple | dict):
        return None
    truth = f"the lengths are {len(result)} and {sizes[0]}"
    return judged(match[0], len(result) == sizes[0], truth), without(text, match)


def _size(argument) -> int | None:
    given = argument[0] if argument else None
    return len(given) if isinstance(given, list | str | tuple | dict) else None


_KEYS = screened(
    r",? (?:where |with |in which )?(?:the |its )?keys (?:are|being) (?:presumably )?(?P<keys>\w+)"
    r" and (?:the |its )?values (?:are|being) (?P<values>\w+)(?: of (?P<items>\w+))?(?=[.,;]|$)",
    re.I,
)


def _keys(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "where the keys are strings and the values are lists of integers"."""
    match = _KEYS.search(text)
    given = [argument_of(run, name) for name in code.parameters] if match else []
    tables = [one[0] for one in given if one and isinstance(one[0], dict) and one[0]]
    if match is None or len(tables) != 1:
        return None
    told = [(match["keys"], list(tables[0])), (match["values"], list(tables[0].values()))]
    if match["items"]:
        told.append((match["items"], [item for part in told[1][1] for item in _items(part)]))
    kinds = [(TYPES.get(word.lower().removesuffix("s")), values) for word, values in told]
    kinds = [(kind or TYPES.get(word.lower()), v) for (kind, v), (word, _) in zip(
        kinds, told, strict=True)]  # fmt: skip
    if any(kind is None for kind, _ in kinds):
        return None
    good = all(has_type(value, kind) for kind, values in kinds for value in values)
    return judged(match[0].strip(" ,"), good, f"the argument is {tables[0]!r}"), without(
        text, match
    )


def _items(value) -> list:
    return list(value) if isinstance(value, list | tuple | set) else [value]


_SORTED = re.compile(
    r"^(?:the )?(?:output|result|function returns|function will return)(?: is| should be| will be)?"
    r" an? sorted list(?: of unique \w+)?(?=[.,;]|$)", re.I,
)  # fmt: skip


def _sorted(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "the output should be a sorted list of unique names"."""
    match = _SORTED.search(text)
    if match is None or run.trace.result is None:
        return None
    try:
        result = parse_literal(run.trace.result)
        good = isinstance(result, list) and result == sorted(result)
        good = good and ("unique" not in match[0] or len(set(result)) == len(result))
    except (LiteralError, TypeError):
        return None
    return judged(match[0], good, f"it is {run.trace.result}"), without(text, match)


_LETTER = r"(?:`?[\"'](?P<{0}>[^\"'])[\"']`?)"
_MAPS = re.compile(
    _LETTER.format("one") + r" (?:with|->|→|becomes|(?:is|would be|will be|gets) (?:replaced (?:by"
    r"|with)|changed to|mapped to|translated to)) " + _LETTER.format("two")
)  # fmt: skip


def read_table(code: Code, text: str) -> list[JudgedClaim]:
    """Judges "'a' -> 'b'", "replaces 'a' with 'b'" by the only translation table."""
    table = _table(code) if _MAPS.search(text) else None
    return [] if table is None else [
        judged(m[0], table.get(m["one"], m["one"]) == m["two"],
               f"'{m['one']}' becomes '{table.get(m['one'], m['one'])}'")
        for m in _MAPS.finditer(text)
    ]  # fmt: skip


def without_table(text: str) -> str:
    """Returns what is left of a sentence beside the letters that it maps."""
    first = next(_MAPS.finditer(text)).start()
    before, after = text[:first], _MAPS.sub("", text[first:])
    before = re.sub(r"(?:,? (?:that|which) )?(?:replaces|maps|translates|changes) $", "", before)
    return (before + " " + re.sub(r"^[\s,]*(?:(?:and|,)[\s,]*)*", "", after)).strip(" ,")


def _table(code: Code) -> dict[str, str] | None:
    """Returns the letters that the program's `str.maketrans("ab", "xy")` maps."""
    calls = [
        node for node in ast.walk(code.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".maketrans")
    ]  # fmt: skip
    if len(calls) != 1 or not all(
        isinstance(arg, ast.Constant) and isinstance(arg.value, str) for arg in calls[0].args[:2]
    ):
        return None
    match calls[0].args:
        case [ast.Constant(value=one), ast.Constant(value=two)] if len(one) == len(two):
            return dict(zip(one, two, strict=True))
    return None


_USING = screened(
    r"(?P<pre>[,(]? ?(?:checked |done |computed |this is done )?(?:using|via|by calling|with)"
    r" )`(?P<code>[^`]*[^\w`][^`]*)`\)?(?=[.,;:]|$| and\b)",
    re.I,
)


_USING_SLICE = re.compile(
    r",? (?:using|with|via|by) (?:(?:the |a )?slic(?:e|ing) )(?:notation |with )?"
    r"`(?P<code>\[[^`\]]*\])`(?=[.,;:]|$| and\b)", re.I,
)  # fmt: skip


def _using_slice(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "using slicing `[::-1]`" at the end of a clause: the program has this slice."""
    match = _USING_SLICE.search(text)
    if match is None or match["code"].replace(" ", "") not in ast.unparse(code.tree):
        return None
    return judged(match[0].strip(" ,"), True, ""), without(text, match)


def _using(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "using `len(xs)`" at the end of a clause: this code stands in the program."""
    match = _USING.search(text)
    if match is not None and (elided := re.fullmatch(r".*\.(\w+)\((?:\.\.\.|…)\)", match["code"])):
        called = any(isinstance(n, ast.Attribute) and n.attr == elided[1]
                     for n in ast.walk(code.tree))  # fmt: skip
        return (judged(match[0].strip(" ,("), True, ""), without(text, match)) if called else None
    if match is None or match["code"][0] in "\"'[{(" or "(" not in match["code"]:
        return None
    if not any(
        atom_in(match["code"], node) for node in ast.walk(code.tree) if isinstance(node, ast.expr)
    ):
        return None
    return judged(match[0].strip(" ,("), True, ""), without(text, match)


_USING_METHOD = screened(
    r",? \(?(?:using|with|via|by (?:calling|using)) (?:the |its )?(?:\w+ )?(?:string |list )?`\.?"
    r"(?P<name>\w+)(?:\(\))?`(?: (?:method|function|operator))?(?: of \w+)?\)?"
    r"(?=[.,;:]|$| and\b)", re.I,
)  # fmt: skip


def _using_method(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "using the `isdigit()` method" at the end of a clause: the program calls it."""
    match = _USING_METHOD.search(text)
    if match is None or (match["name"] in code.names and match["name"] not in dir(builtins)):
        return None
    called = {ast.unparse(n.func).rpartition(".")[2] for n in ast.walk(code.tree)
              if isinstance(n, ast.Call)}  # fmt: skip
    if match["name"] not in called:
        return None
    return judged(match[0].strip(" ,("), True, ""), without(text, match)


_START = screened(
    r",? (?:starting|beginning) (?:from|at|with) (?:the (?P<which>first|second|third|fourth)"
    r" (?:element|item|character)(?: \(index `?(?P<at>\d+)`?\))?|index"
    r" `?(?P<index>\d+)`?)(?=[.,;:]|$| and\b)", re.I,
)  # fmt: skip
_WHICH = {"first": 0, "second": 1, "third": 2, "fourth": 3}


def _starts_at(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "starting from the second element (index 1)" of a loop over a range or a slice."""
    match = _START.search(text)
    if match is None or not re.search(r"\b(?:iterat|loop|goes|travers)\w*", text, re.I):
        return None
    told = int(match["index"]) if match["index"] else _WHICH[match["which"].lower()]
    if match["at"] and int(match["at"]) != told:
        return None
    starts = [_first_index(node.iter) for node in ast.walk(code.tree) if isinstance(node, ast.For)]
    if told not in starts:
        return None
    return judged(match[0].strip(" ,"), True, ""), without(text, match)


def _first_index(source: ast.expr) -> int | None:
    match source:
        case ast.Call(func=ast.Name(id="range"), args=[ast.Constant(value=first), _, *_]):
            return first
        case ast.Call(func=ast.Name(id="range"), args=[_]):
            return 0
        case ast.Subscript(slice=ast.Slice(lower=ast.Constant(value=first), step=None)):
            return first
    return None


_BACKWARDS = screened(
    r",? (?:in (?:the )?reverse(?:d)? order|from (?:the )?(?:end|right)(?: to (?:the )?(?:start"
    r"|beginning|left|`\w+`))?|backwards?)"
    r"(?:,? meaning (?:that )?the last (?:element|item|character) (?:will be|is) processed first)?"
    r"(?=[.,;]|$)", re.I,
)  # fmt: skip


def _backwards(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "iterates over the indices of `xs` from the end to `n`", "in reverse order"."""
    match = _BACKWARDS.search(text)
    if match is None or not re.match(
        r"(?:(?:the |this )?\w+ |it |then )*(?:iterat\w+|loops?|goes|process\w*|travers\w+)\b",
        text, re.I,
    ):  # fmt: skip
        return None
    loops = [node.iter for node in ast.walk(code.tree) if isinstance(node, ast.For)]
    turned = [source for source in loops if _is_backwards(source)]
    names = re.findall(r"`(\w+)`", text[: match.end()])
    good = any(all(atom_in(name, source) for name in names) for source in turned)
    return (judged(match[0].strip(" ,"), True, ""), without(text, match)) if good else None


def _is_backwards(source: ast.expr) -> bool:
    match source:
        case ast.Call(func=ast.Name(id="reversed")):
            return True
        case ast.Call(func=ast.Name(id="enumerate"), args=[inner, *_]):
            return _is_backwards(inner)
        case ast.Call(func=ast.Name(id="range"), args=[_, _, step]):
            return ast.unparse(step) == "-1"
        case ast.Subscript(slice=ast.Slice(step=step)) if step is not None:
            return ast.unparse(step) == "-1"
    return False


_NOT_NEW = screened(
    r"\b(?:the function|it) (?:does not|doesn't) (?:return|create) (?:a|any) new "
    r"(?:list|dictionary|array)(?=[.,;]|$)", re.I,
)  # fmt: skip


def _not_new(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "the function does not return a new list": an argument is changed and returned."""
    match = _NOT_NEW.search(text)
    if match is None:
        return None
    returned = [n.value for n in ast.walk(code.tree) if isinstance(n, ast.Return) and n.value]
    own = returned and all(isinstance(v, ast.Name) and v.id in code.parameters for v in returned)
    if not own or not any(is_mutated(run, code, n) for n in code.parameters):
        return None
    return judged(match[0], True, ""), without(text, match)


_UNCHANGED = screened(r"(?<=`)(?P<how> unchanged| as it is| without changes)(?=[.,;]|$)", re.I)


def _unchanged(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "returns `text` unchanged" of a parameter that is never set or changed."""
    match = _UNCHANGED.search(text)
    named = re.findall(r"`(\w+)`", text[: match.start()]) if match else []
    if match is None or not named or named[-1] not in code.parameters:
        return None
    if code.writes.get(named[-1]):
        return None
    return judged(match["how"].strip(), True, ""), without(text, match)


_CONVERTED = re.compile(
    r"^(?:first,? |then,? )?(?:it|the function) (?:then |first )?(?:converts|turns|casts) (?:the"
    r" (?:input |given )?(?:string|list|dictionary|text|tuple|set|number)|(?:the )?(?:\w+ )?"
    r"`(?P<x>\w+)`) (?:in)?to an? (?P<kind>list|tuple|set)(?: of (?P<of>\w+))?"
    r" \(?(?:called |named )?`(?P<y>\w+)`\)?(?=[.,;]| using\b|$)", re.I,
)  # fmt: skip


def _converted(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "converts the dictionary `d` into a list of tuples `pairs`"."""
    match = _CONVERTED.search(text)
    if match is None:
        return None
    made = [
        value for value in code.definitions.get(match["y"], ())
        if isinstance(value, ast.Call) and ast.unparse(value.func) == match["kind"].lower()
        and (match["x"] is None or atom_in(match["x"], value))
    ]  # fmt: skip
    of = TYPES.get((match["of"] or "").lower().removesuffix("s"))
    if not made or (match["of"] and not (of and _holds_only(run, match["y"], of))):
        return None
    return judged(match[0], True, ""), without(text, match)


def _holds_only(run: Replay, name: str, kind: str) -> bool:
    """Tells whether the first value of a variable holds values of one type."""
    text = next((e.changed[name] for e in run.events if name in e.changed), "")
    try:
        value = parse_literal(text)
    except LiteralError:
        return False
    return isinstance(value, list | tuple | set) and all(has_type(item, kind) for item in value)


_FORMS: tuple[Form, ...] = (
    _recursion, _endless, _nested, _reads_only, _same_length, _keys, _sorted, _using_slice, _using,
    _using_method, _not_new, _starts_at, _backwards, _unchanged, _converted, *RESULT_FORMS,
)  # fmt: skip
