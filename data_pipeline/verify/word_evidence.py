"""Finds words of a line that the run or its program does not bear out.

"The tuple `xs`" of a list, "the first two characters" where a program takes the last ones, "the
while loop" where there is none: such a word may be wrong while all values of its line are right. A
line with one is never confirmed; where the run denies it plainly, the line is contradicted.
"""

import ast
import functools
import itertools
import re
from collections.abc import Callable, Iterator

from data_pipeline.source.literals import value_or_none
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.layout import variable_names
from data_pipeline.verify.masking import Atom, mask_code, spell
from data_pipeline.verify.pools import Pools
from data_pipeline.verify.program_facts import ProgramFacts
from data_pipeline.verify.screening import Pattern, screened
from data_pipeline.verify.told_calls import calls_not_made

_TYPES: dict[str, tuple[type, ...]] = {
    "list": (list,), "array": (list, tuple), "tuple": (tuple,), "dictionary": (dict,),
    "dict": (dict,), "string": (str,), "substring": (str,), "integer": (int,),
    "boolean": (bool,),
}  # fmt: skip
_MOST_CHARACTERS = 4000  # of a value that is looked into
_NOUN = "|".join(_TYPES)
_MAKERS = {"list": list, "tuple": tuple, "dict": dict, "set": set, "sorted": list,
           "frozenset": set, "zip": tuple, "enumerate": tuple, "Counter": dict}  # fmt: skip
_BEHIND = screened(  # "the list `xs`", "a list called `xs`", "the list, which is now [1]"
    rf"\b(?P<t>{_NOUN})(?:,? (?:which|that) (?:is|was)(?: now| then)?| (?:called|named)|"
    r" (?:is|becomes|remains|was)(?: now| then| still)?|:)? ⟦(?P<x>\d+)⟧"
    r"(?! ?(?:[-+*/%[(.=]|or\b))",
    re.I,
)
_BEFORE = re.compile(
    rf"⟦(?P<x>\d+)⟧,? (?:(?:which )?(?:is|are|was) (?:expected to be |also |still )?|(?:to be|as) )"
    rf"(?:an? |the )(?:new |single |empty |non-empty |modified |sorted |input )?(?P<t>{_NOUN})\b"
    r"(?! (?:of (?:length|size)|comprehension|object|method|index))|"
    rf"⟦(?P<z>\d+)⟧ \((?:an? |the )?(?:new |empty |single |input |given )?(?P<w>{_NOUN})\b"
    r"(?! (?:of|comprehension|object|method|index|value|key|element|item|character))(?!')|"
    r"⟦(?P<y>\d+)⟧ (?P<u>list|dictionary|dict|tuple|string|array)"
    r"(?=\W*$|[.,;]| (?:and|is|to|with)\b)",
    re.I,
)
_PART_OF = re.compile(
    r"\b(?:length|size|number|count|sum|total|maximum|minimum|element|item|character|index|key|"
    r"value|end|start|half|part|rest|type|product|average|position)s?(?: [\w-]+)?"
    r" (?:of|in|from) (?:the |this |that |a )?(?:\w+ )?$",
    re.I,
)
_RETURNED = screened(
    r"\breturn(?:s|ed|ing)? (?:the |an? )?(?:\w+ )??(?P<t>list|tuple|dictionary|dict|string)"
    r"(?=,? |\W*$)(?! (?:representation|form|joined|converted))", re.I
)  # fmt: skip
_HEDGED = re.compile(r"\b(?:if|would|could|may|might|not|never|n't|like|either|or|converted?|"
                     r"converts?|converting|into|instead)\b", re.I)  # fmt: skip
_LOOP = screened(r"\b(?P<k>for|while)[ -]loop\b", re.I)
_BEFORE_RETURN = screened(
    r"\breturn(?:s|ed)? [^.;]*⟦\d+⟧[^.;]* before (?:\w+ing|the loop|all|any|performing)\b|"
    r"^\W*before (?:the (?:\w+ )?loop|processing|all)\b[^.;]*\breturns?\b", re.I,
)  # fmt: skip
_EMPTY = screened(
    r"\b(?P<no>non-)?empty (?:\w+ )?⟦(?P<x>\d+)⟧|⟦(?P<y>\d+)⟧,? (?:which )?(?:is|was|remains) "
    r"(?:now |still |initially )?(?:an? )?(?P<not>not |non-)?empty\b", re.I,
)  # fmt: skip
_KINDS = r"(?:string|list|dictionary|dict|tuple|set|array)"
_EMPTY_VALUE = (
    re.compile(  # "`[]` (an empty list)", "an empty list `xs`: `[]`", "returns an empty list"
        rf"⟦(?P<x>\d+)⟧,? \(?(?:which is )?(?:an?|the) (?P<no>non-)?empty {_KINDS}\)|"
        rf"\b(?:an?|the) (?P<not>non-)?empty {_KINDS}(?: ⟦\d+⟧)?"
        r"(?: (?:is )?(?:created|initiali[sz]ed))?:? ⟦(?P<y>\d+)⟧|"
        rf"\breturns (?:an?|the) (?P<non>non-)?empty (?P<k>{_KINDS})\b(?! ⟦)",
        re.I,
    )
)
_MADE = re.compile(r"\b(?:creat|initiali[sz]|start|declar|defin)\w*", re.I)
_MOVED = screened(
    r"\b(?:(?P<out>remov|delet|popp|discard)(?:es|ed|e|s|ing)?|(?P<in>append|insert|add)(?:s|ed|ing)?)"
    r" (?:[^.;,]*? )?(?P<p>from|to|into) (?:the )?(?:\w+ )?⟦(?P<x>\d+)⟧", re.I,
)  # fmt: skip
_ENDS = screened(
    r"\b(?P<e>first|last) (?:(?:⟦(?P<n>\d+)⟧|(?P<w>two|three|four|five|few)) )"
    r"(?:characters|elements|items|letters|digits|words)(?:,| is| are|:)? ⟦(?P<v>\d+)⟧", re.I,
)  # fmt: skip
_OF_DICTIONARY = re.compile(
    r"\b(?P<k>keys?|values?) (?:(?:already |also )?(?:exists?|appears?|is|are) (?:\w+ )??)?"
    r"(?:of|in|from) "
    r"(?:(?:the )?(?:\w+ )??(?:dictionary|dict)\b(?: ⟦\d+⟧)?|(?:the )?⟦(?P<x>\d+)⟧(?! ?\[))",
    re.I,
)  # fmt: skip
_LOOPS_OVER = screened(
    r"\b(?:loops?|iterat\w+|goes|going|runs) (?:over|through) (?:each |all |every |of |the )*"
    r"(?P<k>keys?|values?) (?:of|in) (?:the )?(?:\w+ )?⟦(?P<x>\d+)⟧", re.I
)  # fmt: skip
_KEY_NAMED = re.compile(
    r"(?P<v>\b(?:remov|delet|popp?)(?:es|ed|e|s|ing)? )?(?:the )?\b(?P<k>key|value) ⟦(?P<x>\d+)⟧",
    re.I,
)
_ONCE = screened(
    r"\b(?:set|assigned|changed|updated|called|appended|added|incremented|entered)\b[^.;]*"
    r"\b(?:only|exactly|just) once\b", re.I,
)  # fmt: skip
_END_OF = re.compile(
    r"⟦(?P<v>\d+)⟧,? (?:which is )?the (?P<e>first|last) (?:element|item|character|value|letter) "
    r"(?:of|in) (?:the )?(?:\w+ )?⟦(?P<x>\d+)⟧", re.I,
)  # fmt: skip
_SORTED = re.compile(
    r"\bsorted (?:\w+ )?(?:is|are|becomes|gives|:)(?: now| then)? ⟦(?P<v>\d+)⟧", re.I
)
_KEY = re.compile(
    r"\b(?:the|each|a|this|first|last|every) (?:[a-z]+ )?keys?\b(?! (?:to|idea|point|part))", re.I
)
_INPUT = re.compile(
    r"\binput (?P<t>list|array|tuple|dictionary|dict|string|integer)\b(?! of)", re.I
)
_PHRASES_AT_VALUE = re.compile(r"\b(?:at|to) (?:the )?(?:specified |given )?value ⟦", re.I)


class WordEvidence:
    """Knows the types, loops and operations that words of a line may speak of."""

    def __init__(self, run: Replay, pools: Pools):
        self.run, self.pools = run, pools

    def unproven(self, line: str, truths: str = "") -> Iterator[tuple[str, str | None]]:
        """Yields each piece of a line that lacks evidence, with the truth if the run denies it.

        truths: what was found true of the line, such as "sum(xs) = 16"; it bears out "the sum".
        """
        text, atoms = mask_code(line, self._names)
        yield from self._types(text, atoms)
        yield from self._loops(text)
        yield from self._sizes(text, atoms)
        yield from self._moves(text, atoms)
        yield from self._taken(text, atoms)
        yield from self._keys(text, atoms)
        yield from self._loop_values(text, atoms)
        for pattern in (_BEFORE_RETURN, _PHRASES_AT_VALUE, _ONCE):
            if found := pattern.search(text):
                yield found[0], None
        yield from self._end_of(text, atoms)
        yield from self._sorted(text, atoms)
        yield from ((code, None) for code in calls_not_made(self.run, text, atoms))
        for word, proven in _WORDS:
            borne_out = any(word.search(name) for call, name in _CALLS if call in truths)
            if (found := word.search(text)) and not borne_out and not proven(self._code):
                yield found[0], None

    def of_types(self, line: str) -> Iterator[str]:
        """Yields the types that a line tells and the run does not have."""
        for text, _ in self._types(*mask_code(line, self._names)):
            yield text

    @functools.cached_property
    def _names(self) -> frozenset[str]:
        return variable_names(self.run)

    @functools.cached_property
    def _code(self) -> ProgramFacts:
        return ProgramFacts(self.run)

    def _loop_values(self, text: str, atoms: list[Atom]) -> Iterator[tuple[str, str | None]]:
        """Yields a loop over "the values of `d`" where the loop takes its keys, or the reverse."""
        for found in _LOOPS_OVER.finditer(text):
            name = atoms[int(found["x"])].text
            if self._types_of(Atom(name, False, 0)) != {dict}:
                continue
            method = "values" if found["k"].lower().startswith("value") else "keys"
            sources = [ast.unparse(node.iter) for node in self.run.nodes
                       if isinstance(node, ast.For | ast.comprehension)]  # fmt: skip
            known = [one for one in sources if re.search(rf"\b{name}\b", one)]
            allowed = {f"{name}.{method}()", f"{name}.items()"}
            if method == "keys":
                allowed.add(name)
            if known and not any(
                one in allowed or re.sub(r"^\w+\((.*)\)$", r"\1", one) in allowed for one in known
            ):
                yield spell(found[0], atoms), f"the loop is over {known[0]}"

    def _end_of(self, text: str, atoms: list[Atom]) -> Iterator[tuple[str, str | None]]:
        """Yields "7, the last element of `xs`" where `xs` never ends with 7."""
        for found in _END_OF.finditer(text):
            told, name = _value(atoms[int(found["v"])].text), atoms[int(found["x"])].text
            index = 0 if found["e"].lower() == "first" else -1
            owners = [_value(one) for one in self._texts(name)]
            parts = [one[index] for one in owners if isinstance(one, str | list | tuple) and one]
            if parts and told not in parts:
                yield spell(found[0], atoms), None

    def _sorted(self, text: str, atoms: list[Atom]) -> Iterator[tuple[str, str | None]]:
        """Yields "the sorted list is [3, 1]" of what no order sorts that the program names."""
        keyed = any(isinstance(node, ast.keyword) and node.arg == "key" for node in self.run.nodes)
        for found in () if keyed else _SORTED.finditer(text):
            told = _value(atoms[int(found["v"])].text)
            try:
                good = not isinstance(told, list) or sorted(told) in (told, told[::-1])
            except TypeError:
                good = True
            if not good:
                yield spell(found[0], atoms), None

    # ---- types

    def _types(self, text: str, atoms: list[Atom]) -> Iterator[tuple[str, str | None]]:
        for pattern in (_BEHIND, _BEFORE):
            for found in pattern.finditer(text):
                groups = found.groupdict()
                noun = (groups["t"] or groups.get("u") or groups.get("w") or "").lower()
                if pattern is _BEHIND and _PART_OF.search(text[: found.start()]):
                    continue  # "the length of the list is 4"
                atom = atoms[int(groups["x"] or groups.get("y") or groups["z"])]
                known = self._types_of(atom)
                if known and not known & set(_TYPES[noun]):
                    told = ", ".join(sorted(one.__name__ for one in known))
                    plain = pattern is _BEHIND and noun not in ("integer", "substring", "array")
                    sure = plain and not _HEDGED.search(text[: found.start()])
                    yield spell(found[0], atoms), f"{atom.text} is a {told}" if sure else None
        for found in _RETURNED.finditer(text):
            result = _value(self.run.trace.result)
            if result is None or _HEDGED.search(text[: found.start()]):
                continue
            if not isinstance(result, _TYPES[found["t"].lower()]):
                yield found[0], None
        if (found := _KEY.search(text)) and dict not in self._held and not self._code.names_key:
            yield found[0], None
        for found in _INPUT.finditer(text):
            given = self._given_types
            if given and not given & set(_TYPES[found["t"].lower()]):
                yield found[0], None
        held = self._held | {type(_value(atom.text)) for atom in atoms if atom.literal}
        for found in re.finditer(r"\b(list|tuple|dictionary|set)s?\b", text, re.I):
            noun = found[1].lower()
            wanted = (set, frozenset) if noun == "set" else _TYPES[noun]
            verb = noun == "set" and not re.search(
                r"\b(?:a|an|the) (?:\w+ )?set$", text[: found.end()]
            )
            if not verb and not held & set(wanted):
                yield found[0], None

    def _types_of(self, atom: Atom) -> set[type]:
        """Returns the types of a literal, or of a variable at any time; none if one is unknown."""
        if atom.literal:
            value = _value(atom.text)
            return set() if value is None else {type(value)}
        if not atom.text.isidentifier():
            return set()
        found = set()
        for frame in list(self.run.frames)[:50]:
            for text in self.run.history(frame, atom.text)[1][:200]:
                value = _value(text) if text is not None else 0
                if value is None:
                    return set()
                found |= {type(value)} if text is not None else set()
        return found

    @functools.cached_property
    def _given_types(self) -> set[type]:
        """Returns the types of the arguments of the call; none if one is unknown."""
        given = self.run.entries[0].event.changed.values() if self.run.entries else ()
        values = [(_value(text), text) for text in given]
        if any(value is None and text != "None" for value, text in values):
            return set()
        return {type(value) for value, _ in values}

    @functools.cached_property
    def _held(self) -> set[type]:
        """Returns the types of all that the run computes, and those that its code may make."""
        found: set[type] = set()
        for text in self.pools.everything.texts:
            if text[:1] in "[({" or text.startswith(
                ("set(", "frozenset(", "<", "deque", "Counter")
            ):
                value = _value(text)
                found |= {list, tuple, dict, set} if value is None else {type(value)}
        makers = {
            ast.List: list, ast.ListComp: list, ast.Tuple: tuple, ast.Dict: dict,
            ast.DictComp: dict, ast.Set: set, ast.SetComp: set,
        }  # fmt: skip
        for node in self.run.nodes:
            found |= {made for kind, made in makers.items() if isinstance(node, kind)}
            if isinstance(node, ast.Name):
                found |= {_MAKERS[node.id]} if node.id in _MAKERS else set()
        return found

    # ---- loops, sizes, moves

    def _loops(self, text: str) -> Iterator[tuple[str, str | None]]:
        kinds = {type(self.run.statements[header]).__name__.lower() for header in self.run.loops}
        for found in _LOOP.finditer(text):
            if kinds and found["k"].lower() not in kinds and not self._code.comprehends:
                yield found[0], f"it is a {next(iter(kinds))} loop"

    def _sizes(self, text: str, atoms: list[Atom]) -> Iterator[tuple[str, str | None]]:
        """Yields an "empty" or "non-empty" that a value or variable never is."""
        words = {f"⟦{n}⟧": atom.text for n, atom in enumerate(atoms) if atom.text == "non-empty"}
        text = re.sub(r"⟦\d+⟧", lambda match: words.get(match[0], match[0]), text)
        for found in _EMPTY.finditer(text):
            atom = atoms[int(found["x"] or found["y"])]
            texts = [atom.text] if atom.literal else self._texts(atom.text)
            texts = texts[:1] if _MADE.search(text) else texts
            sizes = {bool(value) for text in texts if (value := _value(text)) is not None}
            full = bool(found["no"] or found["not"])
            if sizes and full not in sizes and not _HEDGED.search(text[: found.start()]):
                yield spell(found[0], atoms), None

        for found in _EMPTY_VALUE.finditer(text):
            if found["k"]:
                known = self.run.trace.result
            else:
                known = _literal_in(atoms[int(found["x"] or found["y"])].text)
            value = _value(known)
            full = bool(found["no"] or found["not"] or found["non"])
            hedged = _HEDGED.search(text[: found.start()])
            noun = re.sub(r"(?s).*empty (\w+).*", r"\1", found[0]).lower()
            wanted = (set, frozenset) if noun == "set" else _TYPES.get(noun, ())
            if isinstance(value, wanted) and bool(value) != full and not hedged:
                yield spell(found[0], atoms), None

    def _texts(self, name: str) -> list[str]:
        frames = list(self.run.frames)[:50]
        return [text for f in frames for text in self.run.history(f, name)[1][:200] if text]

    def _moves(self, text: str, atoms: list[Atom]) -> Iterator[tuple[str, str | None]]:
        """Yields what is put into, or taken out of, a variable that never grows, or shrinks."""
        for found in _MOVED.finditer(text):
            name = atoms[int(found["x"])].text
            out = found["out"] is not None
            if out != (found["p"].lower() == "from") or not name.isidentifier():
                continue
            values = [_value(text) for text in self._texts(name)]
            if not all(isinstance(value, list | dict | set | str) for value in values):
                continue
            sizes = [len(value) for value in values]
            steps = list(itertools.pairwise(sizes))
            if values and not any(b < a if out else b > a for a, b in steps):
                if isinstance(values[0], str) or len(values) == 1:
                    continue  # a new text may be made of it
                yield spell(found[0], atoms), None

    def _taken(self, text: str, atoms: list[Atom]) -> Iterator[tuple[str, str | None]]:
        """Yields "the last 2 characters, 'on'" where nothing that the run holds ends so."""
        for found in _ENDS.finditer(text):
            part = _value(atoms[int(found["v"])].text)
            if not isinstance(part, str | list):
                continue
            first = found["e"].lower() == "first"
            for other in self.pools.everything.texts:
                whole = _value(other)
                longer = type(whole) is type(part) and len(whole) > len(part)
                if longer and (whole[: len(part)] if first else whole[-len(part) :]) == part:
                    break
            else:
                yield spell(found[0], atoms), None

    def _keys(self, text: str, atoms: list[Atom]) -> Iterator[tuple[str, str | None]]:
        """Yields keys told as values, and values told as keys, of dictionaries."""
        if not self._dictionaries:
            return
        for found in _OF_DICTIONARY.finditer(text):
            name = atoms[int(found["x"])].text if found["x"] else ""
            if name and self._types_of(Atom(name, False, 0)) != {dict}:
                continue
            if found["k"].lower().startswith("value") and not self._code.reads_values:
                yield spell(found[0], atoms), None
            if found["k"].lower().startswith("key") and self._code.reads_values_alone:
                yield spell(found[0], atoms), None
        keys = {key for one in self._dictionaries for key in map(repr, one)}
        values = {value for one in self._dictionaries for value in map(repr, one.values())}
        for found in _KEY_NAMED.finditer(text):
            told = _value(atoms[int(found["x"])].text)
            other, own = (values, keys) if found["k"].lower() == "key" else (keys, values)
            named = found["k"].lower() == "key" or found["v"]  # "value" may be any value
            if named and told is not None and repr(told) in other and repr(told) not in own:
                yield spell(found[0], atoms), None

    @functools.cached_property
    def _dictionaries(self) -> list[dict]:
        known = (_value(text) for text in self.pools.everything.texts if text[:1] == "{")
        return [value for value in known if isinstance(value, dict)]


def _words(pattern: str) -> Pattern:
    return screened(pattern, re.I)


_START = r"(?:start|beginning|front|left)"
_PUTS = r"(?:append|add|insert|put|prepend|attach|concatenat|pad)\w*"
_STRIPS = r"(?:strip|trim|remov)\w*"
_WORDS: tuple[tuple[Pattern, Callable[[ProgramFacts], bool]], ...] = (
    (_words(rf"\b{_PUTS}\b[^.;]*\b(?:to|at|on) the {_START}\b"),
     lambda code: code.puts_in_front),
    (_words(rf"\b{_STRIPS}\b[^.;]*\b(?:from|at|on) the {_START}\b"),
     lambda code: code.has("lstrip", "strip", "removeprefix", "pop", "popleft", "replace", "sub",
                           "remove", "partition", "split") or bool(code.slices)),
    (_words(rf"\b{_STRIPS}\b[^.;]*\b(?:from|at|on) the (?:end|right)\b"),
     lambda code: code.has("rstrip", "strip", "removesuffix", "pop", "replace", "sub", "remove",
                           "popitem", "rpartition", "split") or bool(code.slices)),
    (_words(r"\bleading\b"),
     lambda code: code.has("lstrip", "strip", "removeprefix", "startswith", "zfill", "rjust",
                           "center", "format", "split")),
    (_words(r"\btrailing\b"),
     lambda code: code.has("rstrip", "strip", "removesuffix", "endswith", "ljust", "center",
                           "format", "split")),
    (_words(r"\b(?:leading and leading|trailing and trailing)\b"), lambda code: False),
    (_words(r"\b(?:strip|trim)(?:s|ped|ping)\b|\b(?:left|right)-?strips?\b"),
     lambda code: code.has("strip", "rstrip", "lstrip", "removeprefix", "removesuffix")),
    (_words(r"\badds (?:the |any |all )?(?:leading|trailing)"),
     lambda code: code.has("zfill", "rjust", "ljust", "center", "format")),
    (_words(r"\b(?:splits?|splitting)\b"),
     lambda code: code.has("split", "rsplit", "splitlines", "partition", "rpartition", "list")
     or bool(code.slices)),
    (_words(r"\bjoin(?:s|ed|ing)?\b"), lambda code: code.has("join") or code.does(ast.Add)),
    (_words(r"\b(?:revers(?:e|es|ed|ing)|reverse order)\b"), lambda code: code.turns_round),
    (_words(r"\b(?:sorts|sorted|sorting)\b"),
     lambda code: code.has("sort", "sorted", "insort", "min", "max", "heappush", "nsmallest",
                           "nlargest") or code.turns_round),
    (_words(r"\b(?:descending|decreasing) order\b"), lambda code: code.turns_round or any(
        isinstance(node, ast.Lambda) for node in code.nodes)),
    (_words(r"\bdecrement\w*|\bdecreas(?:es|ed|ing)\b"),
     lambda code: code.does(ast.Sub) or code.does(ast.FloorDiv, ast.Mod) or code.negative
     or code.has("pop", "remove", "clear")),
    (_words(r"\bprint(?:s|ed|ing)?\b"), lambda code: code.has("print", "write", "pprint")),
    (_words(r"\bincrement\w*"), lambda code: code.does(ast.Add) or code.has(
        "sum", "count", "Counter", "enumerate", "range", "next", "append")),
    (_words(r"\bproduct of\b|\bmultipl(?:y|ies|ied|ying)\b"),
     lambda code: code.does(ast.Mult, ast.Pow) or code.has("prod", "mul")),
    (_words(r"\bdivid(?:e|es|ed|ing) by\b(?! ⟦\d+⟧ (?:and|with))"),
     lambda code: code.does(ast.Div, ast.FloorDiv, ast.Mod) or code.has("divmod")),
    (_words(r"\b(?:the )?sum(?: of| is|s)\b"),
     lambda code: code.does(ast.Add) or code.has("sum", "accumulate", "fsum")),
    (_words(r"\bwords?\b(?! ?(?:⟦\d+⟧ (?:is|in)\b))"), lambda code: code.texts or any(
        isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
        for node in code.nodes)),
    (_words(r"\b(?:maximum|largest|highest|biggest)\b"),
     lambda code: code.has("max", "sort", "sorted", "nlargest", "most_common")
     or any(isinstance(node, ast.Gt | ast.GtE | ast.Lt | ast.LtE) for node in code.nodes)),
    (_words(r"\b(?:minimum|smallest|lowest)\b"),
     lambda code: code.has("min", "sort", "sorted", "nsmallest")
     or any(isinstance(node, ast.Gt | ast.GtE | ast.Lt | ast.LtE) for node in code.nodes)),
    (_words(r"\bonly the last\b|\bthe last (?:\w+) (?:of|in|from) the\b"),
     lambda code: code.negative or code.has("pop", "popitem", "endswith", "rfind", "rindex", "len",
                                            "rsplit", "rpartition")),
    (_words(r"\brefers? to the first (?:character|element|item|letter|digit)\b"),
     lambda code: any(ast.unparse(one) in ("0", ":1") for one in code.slices)),
    (_words(r"\bpops? the first\b|\bremoves and returns the first\b"),
     lambda code: any(
         isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("pop", "popleft")
         and (node.args or getattr(node.func, "attr", "") == "popleft") for node in code.nodes)),
    (_words(r"\bpops? the last\b|\bremoves and returns the last\b"),
     lambda code: any(
         isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("pop", "popitem")
         and (not node.args or ast.unparse(node.args[0]).startswith(("-", "len")))
         for node in code.nodes)),
)  # fmt: skip


def _literal_in(text: str) -> str:
    """Returns the value of `xs = []`, else the text."""
    return re.sub(r"^\w+ = ", "", text)


_CALLS = (("sum(", "the sum of"), ("max(", "maximum"), ("min(", "minimum"))


def _value(text: str | None):
    """Returns the value of a literal, None for other texts and for None itself."""
    return None if text is None or len(text) > _MOST_CHARACTERS else value_or_none(text)
