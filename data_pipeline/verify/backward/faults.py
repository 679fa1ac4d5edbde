"""Finds what a sentence of a backward monologue presupposes falsely, whatever else it says.

"The second largest key (`18`)", "the fifth element of `total`", "`"abc"` is turned into `"CBA"`",
"pops `53`": a value that stands beside a phrase must be what the phrase names, a place must be
there, and what a run is said to make must be made. Nothing is confirmed here.
"""

import ast
import re
import weakref
from collections.abc import Iterator
from typing import Any

from data_pipeline.source.literals import LiteralError, same_value, value_or_none
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.answer import literal_of
from data_pipeline.verify.backward.nouns import ATOM, ITEM, MARKS, Nouns, items_of
from data_pipeline.verify.backward.plain import lowered
from data_pipeline.verify.backward.properties import Properties
from data_pipeline.verify.backward.witness import Witness
from data_pipeline.verify.backward.wording import mark_code
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.ordinals import INDEXES
from data_pipeline.verify.pools import Pool, Pools
from data_pipeline.verify.properties import is_mutated
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.values import compare

_WHICH = "|".join(sorted(INDEXES, key=len, reverse=True)) + "|second last|third last"
_BESIDE = re.compile(
    rf"\bthe (?P<phrase>(?:{_WHICH}|(?:(?:second|third) )?(?:largest|smallest|maximum|minimum))"
    rf" (?P<item>{ITEM}))(?: \(|,? )(?P<told>{ATOM})"
    rf"(?! is\b| must\b)(?: (?:of|in) (?:the )?(?:\w+ )?(?P<owner>`\w+`))?(?! of\b| in\b)"
)
_EXTREME = re.compile(r"\b(?:largest|smallest|maximum|minimum)\b")
_OF_OUTPUT = re.compile(r"\b(?:output|result|returned|remaining)\b")
_NTH = re.compile(
    rf"\b(?P<which>{_WHICH}) {ITEM} (?:of|in) (?:the )?(?:list |string )?`(?P<x>\w+)`"
)
_NTH_OF_INPUT = re.compile(
    rf"\bthe (?P<which>{_WHICH}) (?P<item>{ITEM}) (?:of|in|from) the (?:input|original)"
    r" (?:list|string|array|tuple)"
)
_TURNED = re.compile(
    rf"(?P<x>{ATOM}) (?:(?:will|would|is|was|gets|must|to|be) )*(?:transformed|converted|changed"
    rf"|turned|translated|modified) (?:in)?to (?P<y>{ATOM})"
)
_ENDS_AS = re.compile(
    rf"\b(?:resulting in|leaving us with|leaves us with|leaving|which (?:gives|results in|yields"
    rf"|becomes)|results in|turns into|transforms into) (?:the (?:string|list) )?(?P<y>{ATOM})"
)
_POPS = re.compile(
    rf"\b(?:pops?|popped|popping|remove|removes|removed|deletes?) (?:out )?(?P<x>{ATOM})"
    r"(?= from\b|$)"
)
_GONE = re.compile(rf"(?P<x>{ATOM}) (?:is|was|will be|would be|must be) (?:popped|removed|deleted)")
_SUPPOSED = re.compile(
    r"\b(?:if|suppose|assume|alternatively|another|could|would|might|may|unless|when|instead"
    r"|otherwise|such as|e\.g\.)\b|\bnot (?:be )?(?:trans|conv|chan|turn|mod|pop|rem|del)|n't\b"
)
_CHANGES = re.compile(
    r"\b(?:it|function|operation) (?:then |will |also |simply )*(?:replaces?|modif(?:ies|y)"
    r"|updates?|changes?|assigns?|deletes?|removes?|sets?|inserts?)\b"
)
_OTHER_INPUT = re.compile(
    r"\b(?:if|suppose|assume|alternatively|another|when|unless|e\.g\.|such as|could|might)\b"
)
_GIVES_BACK = re.compile(
    r"\b(?:(?:it|function|slic\w+|operation|method|expression|call)"
    r"(?: operation| method)? (?:will |must |would |should )?(?:return|yield|give|produce)s?)\b"
)
_DENIED = re.compile(r"\bnot\b|n't\b|\berror\b|\bexception\b|\brais|\bunless\b")
_MODIFIES = re.compile(
    r"\b(?P<no>(?:does not|doesn't|without|not|never) )?(?:directly )?modif(?:y|ies|ying) "
    r"(?:the )?(?:(?P<own>input|original|given|provided)"
    r" )?(?P<kind>list|array|dictionary|dict|set)?(?: ?`(?P<name>\w+)`)?"
)
_LITERAL = r"(?P<told>`[^`]+`)"
_VARIABLE = re.compile(
    r"(?<!\bof )(?<!\bin )(?<!\bfrom )(?<!\blist )`(?P<x>\w+)`(?: part| variable)?"
    r" (?:must|has to|needs to|should|will|is|was)(?: (?:have been|be|also|then|equal|equal to"
    rf"|initially|exactly))* {_LITERAL}(?!\w| ?[+*/%]|\()"
)
_ITEM_OF_VARIABLE = re.compile(
    rf"`(?P<x>\w+)\[(?P<at>-?\d+)\]` (?:must (?:also )?be|has to be|is) {_LITERAL}"
)
_SPLIT = re.compile(
    r"\b(?P<side>before|after) the (?P<which>first|last) (?:occurrence of )?(?P<mark>`[^`]+`"
    rf"|{'|'.join(MARKS)})\)? (?:is|must be) {_LITERAL}"
)
_REASON = re.compile(
    r"\b(?:since|because|as) (?P<said>`(?P<x>\w+)` (?:is|has|contains|does|starts|ends)\b[^,;()]*)"
)
_WHOLE = re.compile(
    rf"\b(?:take|use|consider|have|for) (?:the )?(?:string|list|text) (?P<value>{ATOM})"
)
_LENGTH = re.compile(r"\bthe length (?:of it )?is (?P<told>`\d+`)")
_TWO_COUNTS = re.compile(
    rf"\bcounts of (?P<a>{ATOM}) and (?P<b>{ATOM}) are (?:still |both |then )?"
    r"(?P<x>`\d+`) and (?P<y>`\d+`)"
)
_REVERSES = re.compile(
    r"\breverses\b|\breversed (?:version|copy|list|string|input|array|text|order)\b"
    r"|\bneed to reverse `"
)
_POOLS: "weakref.WeakKeyDictionary[Replay, Pool]" = weakref.WeakKeyDictionary()


def pool_of(run: Replay) -> Pool:
    """Returns all values that a run computes."""
    if run not in _POOLS:
        _POOLS[run] = Pools(run).everything
    return _POOLS[run]


class Faults:
    """Finds false presuppositions about one witness and its run."""

    def __init__(self, run: Replay, witness: Witness):
        self.run, self.witness = run, witness

    def find(self, sentence: str, *, general: bool = False) -> list[JudgedClaim]:
        """Returns contradicted claims only.

        general: whether the sentence speaks of any input, not of the witness.
        """
        text = lowered(mark_code(sentence)).strip(" .:;-*")
        finders = [self._missing, self._raising, self._unmodified]
        words = re.sub(ATOM, "", text)
        if not general and not _OTHER_INPUT.search(words):
            finders += [self._beside, self._missing_in_input]
        if not general and not _SUPPOSED.search(words):
            finders += [self._turned, self._popped, self._never, self._never_item, self._split]
        if not general:
            finders += [self._reasons, self._counts]
        if not _DENIED.search(words) and not _OTHER_INPUT.search(words):
            finders.append(self._reversed)
        found = []
        for find in finders:
            try:
                found += list(find(text))
            except (LiteralError, TypeError, ValueError, KeyError, IndexError, AttributeError):
                continue
        return found

    # ---- values beside phrases, and places

    def _beside(self, text: str) -> Iterator[JudgedClaim]:
        """ "The last character `'a'`": no argument, output or variable has it there."""
        for match in _BESIDE.finditer(text):
            told = Nouns(self.witness).literal(match["told"])
            owners = list(self._owners())
            if match["owner"]:
                meant = Nouns(self.witness).meanings(match["owner"])
                owners = [value for one in meant for value in one.values]
            elif _EXTREME.search(match["phrase"]) and not _OF_OUTPUT.search(text):
                owners = [value_or_none(one) for one in self.witness.arguments.values()]
            values = [
                item for owner in owners for item in _named(owner, match["phrase"], match["item"])
            ]
            if values and not any(same_value(value, told) for value in values):
                yield _false(match[0], f"it is {values[0]!r}")

    def _owners(self) -> Iterator[Any]:
        """Yields all containers that a phrase without an owner may speak of."""
        texts = [*self.witness.arguments.values(), self.witness.goal, self.witness.result]
        for name in self.run.names:
            texts += self.run.history(0, name)[1]
        for text in dict.fromkeys(texts):
            value = value_or_none(text)
            if isinstance(value, str | list | tuple | dict):
                yield value

    def _missing(self, text: str) -> Iterator[JudgedClaim]:
        """ "The fifth element of `total`" where `total` never has five."""
        for match in _NTH.finditer(text):
            if match["x"] not in self.run.names or self.run.trace.truncated:
                continue
            values = [value_or_none(one) for one in self.run.history(0, match["x"])[1]]
            sizes = [len(one) for one in values if isinstance(one, str | list | tuple)]
            at = INDEXES.get(match["which"])
            known = len(sizes) == len([one for one in values if one is not None])
            if known and sizes and at is not None and 0 < at >= max(sizes):
                yield _false(match[0], f"`{match['x']}` never has more than {max(sizes)}")

    def _missing_in_input(self, text: str) -> Iterator[JudgedClaim]:
        """ "The sixth element of the input list" of five elements."""
        for match in _NTH_OF_INPUT.finditer(text):
            owners = [
                value for one in self.witness.arguments.values()
                if isinstance(value := value_or_none(one), list | str | tuple)
            ]  # fmt: skip
            at = INDEXES.get(match["which"])
            items = items_of(owners[0], match["item"]) if len(owners) == 1 else None
            if items is not None and at is not None and 0 < at >= len(items):
                yield _false(match[0], f"it has {len(items)}")

    # ---- what the run is said to make

    @property
    def _pool(self) -> Pool:
        return pool_of(self.run)

    def _makes(self, atom: str) -> bool | None:
        """Tells whether the run ever has a value; None for code, and for numbers it may count."""
        value = literal_of(atom)
        if value is None or self.run.trace.truncated or self.witness.state is None:
            return None
        return self._pool.has(value)

    def _turned(self, text: str) -> Iterator[JudgedClaim]:
        """ "`"abc"` will be transformed to `"CBA"`", said of an argument of the witness."""
        for match in _TURNED.finditer(text):
            value = literal_of(match["x"])
            own = self.witness.arguments.values()
            known = value and any(compare(value, real) == CONFIRMED for real in own)
            if known and self._makes(match["y"]) is False:
                yield _false(match[0], f"it returns {self.witness.result}")
        told = [literal_of(atom) for atom in re.findall(ATOM, text)]
        if any(one and self.witness.is_input(one) for one in told):
            for match in _ENDS_AS.finditer(text):
                if self._makes(match["y"]) is False:
                    yield _false(match[0], f"it returns {self.witness.result}")

    def _popped(self, text: str) -> Iterator[JudgedClaim]:
        for match in (*_POPS.finditer(text), *_GONE.finditer(text)):
            told = literal_of(match["x"].replace(" = ", " == ").split("==")[-1].strip("` "))
            if told is None or self._makes(told) is not False:
                continue
            inside = [
                owner for owner in self._owners()
                if isinstance(owner, str) and isinstance(value_or_none(told), str)
                and value_or_none(told) in owner
            ]  # fmt: skip
            if not inside:
                yield _false(match[0], self.witness.shown)

    def _never(self, text: str) -> Iterator[JudgedClaim]:
        """ "`half` must be `3`" of a variable that never is."""
        for match in _VARIABLE.finditer(text):
            name, told = match["x"], literal_of(match["told"])
            if name not in self.run.names or name in self.witness.arguments or told is None:
                continue
            held = [one for one in self.run.history(0, name)[1] if one is not None]
            known = held and not self.run.trace.truncated
            known = known and type(value_or_none(told)) in {
                type(value_or_none(one)) for one in held
            }
            if known and all(compare(told, one) == CONTRADICTED for one in held):
                yield _false(match[0], f"`{name}` is {held[-1]}")

    def _never_item(self, text: str) -> Iterator[JudgedClaim]:
        """ "`parts[1]` must be `"a"`" of a variable whose item never is."""
        for match in _ITEM_OF_VARIABLE.finditer(text):
            name, told = match["x"], value_or_none(literal_of(match["told"]))
            if name not in self.run.names or name in self.witness.arguments:
                continue
            held = [value_or_none(one) for one in self.run.history(0, name)[1] if one is not None]
            items = [one[int(match["at"])] for one in held]
            known = items and told is not None and not self.run.trace.truncated
            if known and all(type(one) is type(told) and one != told for one in items):
                yield _false(match[0], f"it is {items[-1]!r}")

    def _split(self, text: str) -> Iterator[JudgedClaim]:
        """ "The part before the last dot is `"a"`" of the only text among the arguments."""
        texts = [
            value for one in self.witness.arguments.values()
            if isinstance(value := value_or_none(one), str)
        ]  # fmt: skip
        for match in _SPLIT.finditer(text) if len(texts) == 1 else ():
            mark, told = MARKS.get(match["mark"], match["mark"].strip("`\"'")), match["told"]
            first = match["which"] == "first"
            parts = texts[0].partition(mark) if first else texts[0].rpartition(mark)
            real = parts[0 if match["side"] == "before" else 2]
            value = value_or_none(literal_of(told))
            if parts[1] and isinstance(value, str) and value != real:
                yield _false(match[0], f"it is {real!r}")

    def _counts(self, text: str) -> Iterator[JudgedClaim]:
        """ "For the string `"aab"`, the length is `3`, and the counts of … are `2` and `1`"."""
        whole = _WHOLE.search(text)
        value = value_or_none(literal_of(whole["value"])) if whole else None
        if not isinstance(value, str | list):
            return
        for match in _LENGTH.finditer(text, whole.end() if whole else 0):
            if value_or_none(match["told"].strip("`")) != len(value):
                yield _false(match[0], f"it is {len(value)}")
        for match in _TWO_COUNTS.finditer(text):
            parts = [value_or_none(literal_of(match[name])) for name in ("a", "b")]
            told = [value_or_none(match[name].strip("`")) for name in ("x", "y")]
            real = [value.count(one) for one in parts]
            if real != told:
                yield _false(match[0], f"they are {real[0]} and {real[1]}")

    def _reasons(self, text: str) -> Iterator[JudgedClaim]:
        """ "…, since `x` is numeric" where the witness's `x` is not."""
        properties = Properties(self.witness)
        supposed = re.match(r"(?:if|when) (.+?), ", text)
        if supposed is not None:
            held = properties.read(supposed[1], choice=False)
            if not held or any(claim.verdict != CONFIRMED for claim in held):
                return
        elif _OTHER_INPUT.search(re.sub(ATOM, "", text)):
            return
        for match in _REASON.finditer(text):
            if match["x"] not in self.witness.arguments or match["x"] in self.witness.changing:
                continue
            told = properties.read(match["said"], choice=False) or []
            yield from (claim for claim in told if claim.verdict == CONTRADICTED)

    def _reversed(self, text: str) -> Iterator[JudgedClaim]:
        """What is reversed by a program that reverses nothing."""
        if not _REVERSES.search(text) or self.run.trace.truncated or self._may_reverse():
            return
        values = [value_or_none(one) for one in self._pool.texts]
        kept = [one for one in values if isinstance(one, str | list | tuple) and len(one) > 1]
        turned = [one for one in kept if one[::-1] != one]
        if turned and not any(one[::-1] in kept for one in turned):
            yield _false(text, "nothing is reversed")

    def _may_reverse(self) -> bool:
        """Tells whether the program has code that can turn an order round."""
        for node in self.run.nodes:
            match node:
                case ast.Slice(step=step) if step is not None:
                    return True
                case ast.Attribute(attr="reverse" | "pop" | "insert" | "sort" | "popitem"):
                    return True
                case ast.Name(id="reversed" | "sorted") | ast.keyword(arg="reverse"):
                    return True
                case ast.UnaryOp(op=ast.USub()) | ast.BinOp(op=ast.Sub()):
                    return True
        return False

    # ---- a run that raises, and arguments that stay

    def _raising(self, text: str) -> Iterator[JudgedClaim]:
        """What is said of the effect of a statement that raises is false."""
        raised = self.run.trace.raised
        if raised is None or _DENIED.search(text) or self.witness.state is None:
            return
        event = next((e for e in reversed(self.run.events) if e.kind == "exception"), None)
        statement = self.run.statement_of(event) if event is not None else None
        match statement:
            case ast.Assign(targets=[ast.Subscript()]) if _CHANGES.search(text):
                yield _false(text, f"it raises {raised}")
            case ast.Return() if _GIVES_BACK.search(text) and self._is_its_way(text):
                yield _false(text, f"it raises {raised}")

    def _is_its_way(self, text: str) -> bool:
        """Tells whether what is returned in some case can only be what this run was to return."""
        returns = [node for node in self.run.nodes if isinstance(node, ast.Return)]
        return len(returns) == 1 or not re.search(r"\b(?:if|when|otherwise|else)\b", text)

    def _unmodified(self, text: str) -> Iterator[JudgedClaim]:
        """ "It modifies the input list" where the run leaves it as it was, or the reverse."""
        match = _MODIFIES.search(text)
        if match is None or self.run.trace.truncated:
            return
        names = [match["name"]] if match["name"] else list(self.witness.arguments)
        given = {name: self.witness.arguments[name] for name in names}
        held = {n: t for n, t in given.items() if t[:1] in "[{" and value_or_none(t) is not None}
        bound = {
            node.id for node in self.run.nodes
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }  # fmt: skip
        said = match["name"] or (match["own"] and match["kind"])
        if len(held) != 1 or set(held) & bound or not said:
            return
        [name] = held
        changes = len({one for one in self.run.history(0, name)[1] if one is not None}) > 1
        could = changes or is_mutated(self.run, self.witness.code, name)
        rest = text[match.end() :]
        if not match["no"] and not could:
            if not re.search(r"\b(?:if|when|only|copy|may|can|could)\b", text):
                yield _false(match[0], f"`{name}` stays {held[name]}")
        elif match["no"] and changes and not re.match(r"\w", rest):
            yield _false(match[0], f"`{name}` is changed")


def _named(owner: Any, phrase: str, item: str) -> list[Any]:
    """Returns what "second largest key" names in a container, nothing if it has no such thing."""
    items = items_of(owner, item)
    words = phrase.split()
    how = next((w for w in words if w in ("largest", "maximum", "smallest", "minimum")), None)
    if items is None:
        return []
    if how is not None:
        if not all(isinstance(one, int | float) for one in items):
            return []
        items = sorted(items, reverse=how in ("largest", "maximum"))
        at = {"second": 1, "third": 2}.get(words[0], 0)
    else:
        which = phrase.removesuffix(" " + item)
        at = {"second last": -2, "third last": -3}.get(which, INDEXES.get(which, 10**6))
    return [items[at]] if -len(items) <= at < len(items) else []


def _false(text: str, truth: str) -> JudgedClaim:
    return JudgedClaim("answer", text[:80], CONTRADICTED, truth)
