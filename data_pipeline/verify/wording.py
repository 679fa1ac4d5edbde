"""Extracts claims from sentences whose code and values are masked (see `masking`)."""

import ast
import dataclasses
import functools
import re
from collections.abc import Iterator, Sequence

from data_pipeline.verify.masking import Atom

NUMBERS = {
    "zero": 0, "no": 0, "one": 1, "once": 1, "two": 2, "twice": 2, "three": 3, "thrice": 3,
    "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12,
}  # fmt: skip
ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
    "eighth": 8, "ninth": 9, "tenth": 10, "last": -1, "final": -1,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class WordedClaim:
    """Holds one claim as worded.

    kind: "value" (subject, a name or an expression, is value), "outcome" (the line gives value),
      "branch" (subject, or the line's own condition, is value), "turn" (this is turn `value`),
      "turns" (the loop makes `value` turns), "return", "raise" (value: type, "" for none), "goto",
      "goes on" (the loop makes another turn).
    when: "before", "after", "any", "around" (any, also before a turn), "call" (in the function
      called), "so far" (of turns: the loop may go on), or "exit" (of a turn: it may be the one that
      does not start).
    given: (name, value) pairs that the claim says hold with it, "as with `x` = 3".
    """

    kind: str
    text: str
    subject: str | None = None
    value: str = ""
    when: str = "any"
    given: tuple[tuple[str, str], ...] = ()


_S, _V, _B, _T = (rf"⟦(?P<{name}>\d+)⟧" for name in "svbt")
_ADV = (
    r"(?:(?:now|then|thus|therefore|still|also|again|currently|initially|just|the|already|hence|"
    r"value|list|string|integer|number|dictionary|tuple|equal to|simply|both|empty) )*"
)
_END = (
    r"(?=\s*(?:$|[.,;:()!—–→]|-|(?:so|and|which|because|since|after|before|at|in|for|but|then|as|"
    r"while|making|on|from|by|here|again|now|with|where|is|was|inside|this|the|it|once|to)\b))"
)
_IS = (
    r"(?:is|are|was|were|equals?|=|has (?:the |a )?value(?: of)?|holds|stands at|must (?:be|equal))"
)
_MUST = (
    r"(?:(?:must|has to|needs? to) "
    r"(?:be|equal|give|return|produce|come to|come out as|evaluate to))"
)
_SET = (
    r"(?:set|assigned|initiali[sz]ed|updated|changed|reset|incremented|decremented|increased|"
    r"decreased|reduced|bound|rebound|modified|extended|turned|converted|sorted|reversed)"
)

_PATTERNS: tuple[tuple[str, str, str], ...] = (
    # values after the line
    ("value", "after", rf"{_S} (?:is|are|was|gets|has been|being) {_ADV}{_SET}"
     rf"(?: by {_T})?(?: from {_B})?(?: to be| to| as| with| at| into|,? becoming)?"
     rf" (?:(?:the|an?|initial|new|value|of|empty|list|string) )*{_V}{_END}"),
    ("value", "after", rf"{_S}(?: {_ADV})? ?(?:becomes|turns into|gets(?: the value)?|grows? to|"
     r"(?:increases|decreases|drops|falls|rises|goes|changes|moves)(?: by ⟦\d+⟧)?"
     rf"(?: from {_B})? to|takes(?: on)?(?: the value)?|stays|remains|ends up(?: as| being)?|"
     rf"is left (?:as|at)) {_ADV}{_V}{_END}"),
    ("value", "after", rf"\b(?:sets?|initiali[sz]es?|updates?|binds?|changes?|resets?|increments?|"
     r"decrements?|makes?|leaves?|making|leaving|setting|updating|turns|extends?|brings) "
     rf"(?:the )?(?:\w+ )?{_S}(?: by ⟦\d+⟧)?(?: from {_B})? ?(?:to be|to|as|with|at|equal to)? ?"
     rf"{_ADV}{_V}{_END}"),
    ("value", "after", rf"\b(?:assigns?|stores?|assigning|storing|binds?|puts?) {_V} "
     rf"(?:to|in|into) (?:the variable )?{_S}"),
    ("value", "after", rf"{_V} is (?:assigned|stored|bound)(?: to| in| into)? {_S}"),
    # values at the line
    ("value", "any", rf"{_S}(?:,)? {_IS} {_ADV}{_V}{_END}"),
    ("value", "any", rf"\(?{_S}={_V}"),
    ("value", "any", rf"{_S} (?:evaluates? to|comes? to|computes? to|gives|yields|produces|results "
     rf"in|→|->|=>|works out to|simplifies to|{_MUST}) {_ADV}{_V}{_END}"),
    ("return", "any", rf"{_S}(?:,? which|,? that|:? it)? returns {_ADV}{_V}{_END}"),
    ("return", "any", rf"\breturn(?:s|ing|ed)? {_S}(?:,| \() ?(?:which|that) "
     rf"(?:is|evaluates to|comes to|gives|equals) {_ADV}{_V}"),
    ("return", "any", rf"\b(?:function|call|it|line|we|this|and|then|statement|thus|finally|so) "
     rf"(?:\w+ )?returns? {_ADV}{_V}{_END}"),
    ("return", "any", r"^\W*returns? " + _ADV + _V + _END),
    ("return", "any", r"\b(?:return value|returned value|result|output|final answer|answer)"
     rf"(?: of the (?:function|call|run)| returned)? (?:is|was|will be|=|being) {_ADV}{_V}{_END}"),
    ("yield", "any", rf"\b(?:hands out|yields) {_ADV}{_V}{_END}"),
    ("outcome", "any", r"\b(?:giving|resulting in|making it|yielding|producing|which gives|which "
     rf"results in|which makes it|i\.e\.,?|which is) {_ADV}{_V}{_END}"),
)  # fmt: skip
_COMPILED = tuple((kind, when, re.compile(pattern, re.I)) for kind, when, pattern in _PATTERNS)

_COUNT = r"(?:⟦(?P<n>\d+)⟧|(?P<w>" + "|".join(NUMBERS) + r"))"
_TIMES = re.compile(
    r"\b(?:runs?|ran|iterates?|executes?|executed|repeats?|repeated|loops?|turns?|makes?|takes?|"
    r"performs?|completes?|after|of|exactly|only|has|for|in|did|does|goes|went)(?: over)?"
    rf"(?: ⟦\d+⟧)?(?: exactly| all| only| a total of| in total| its| these| another)? {_COUNT} "
    r"(?:full |complete |more )?(?P<u>times|time|iterations?|turns?|passes|pass|rounds?)\b",
    re.I,
)
_ONCE = re.compile(r"\b(?:runs|iterates|executes|turns|loops|executed) (?P<w>once|twice|thrice)\b")
_ENDS = re.compile(
    r"\b(?:ends?|ended|complete[sd]?|finish\w*|stop\w*|terminat\w*|exit\w*|exhaust\w*|leaves?|over|"
    r"runs|makes|iterates|executes|turns|takes|in all|total)\b"
)
_LEAVES = re.compile(
    r"\b(?:no (?:more|further)|not|ends?|stops?|exits?|terminates?|exhausted|false|fails|never)\b"
)
_EQUALITIES = re.compile(rf"⟦\d+⟧(?: = ⟦\d+⟧)+ = {_V}{_END}")
_OVER = re.compile(r"\bloop(?: at \S+)? (?:over|through|on) ⟦(\d+)⟧")
_PARTS = re.compile(
    rf"{_S} (?:now |then |still )?(?:has|contains|holds|is left with|consists of) "
    r"(?:exactly |only )?"
    rf"{_COUNT} (?:entry|entries|elements?|items?|keys?|characters?|letters?|values?|words?)\b"
    r"(?! of)"
)
_AFTER = re.compile(r"^(?:\W|\bL\d+\b)*after (?:the |this |that |its )?(?!loop|whole|entire)"
                    r"(?!\w* ?(?:loop|iteration|pass|turn)s?\b)", re.I)  # fmt: skip
_GOES_ON = re.compile(
    r"\b(?:so|and|thus|hence|therefore),? (?:the |this )(?:(?:inner|outer|while|for) )?loop "
    r"(?P<g>goes on|continues|keeps (?:going|running))\b"
)
_NEVER = re.compile(
    r"\b(?:body|loop) (?:never|does not|doesn't|is never|is not) (?:runs?|executes?|starts?|"
    r"entered|executed)\b"
)
_TURN = re.compile(
    r"\b(?:iteration|turn|pass)(?: (?:number|no\.))? ?#?⟦(?P<n>\d+)⟧|"
    r"(?:\b(?P<o>" + "|".join(ORDINALS) + r")|"
    r"(?:⟦(?P<d>\d+)⟧|(?<!\d)(?P<p>\d{1,6}))(?:st|nd|rd|th)) "
    r"(?:(?:and|or) \w+ )?(?:iteration|turn|pass)\b",
    re.I,
)  # fmt: skip
_COMES = r"(?:is|was|evaluates to|becomes|comes out|returns|turns out)"
_TEST = r"\b(?:condition|test|check|comparison)"
_TRUTH = re.compile(
    rf"(?:{_S}|{_TEST})(?: (?:also|again|here|now|then|\({_T}\)))?,? "
    r"(?P<neg>does not hold|doesn't hold|must not hold|(?:has to|must) (?:fail|be [Ff]alse)|"
    r"is not (?:met|satisfied|true|fulfilled)|is unmet|fails|is not [Tt]rue|"
    rf"{_COMES}(?: \w+)? (?:false|unsatisfied))\b|"
    rf"(?:{_S.replace('<s>', '<s2>')}|{_TEST})(?: (?:also|again|here|now|then))?,? "
    r"(?P<pos>holds|(?:has to|must) (?:hold|be [Tt]rue)|is (?:met|satisfied|fulfilled)|succeeds|"
    rf"passes|{_COMES}(?: \w+)? (?:true|satisfied|met))\b"
)
_WITH = re.compile(
    r",? \(?(?:as with|with|where|given|for) ⟦\d+⟧ = ⟦\d+⟧(?:(?:,|,? and) ⟦\d+⟧ = ⟦\d+⟧)*"
)
_CONDITION_LITERAL = re.compile(
    r"\b(?:condition|test|check|comparison|it|which|this|that) (?:is|was|evaluates to|comes out|"
    rf"gives|returns|turns out)(?: to be| as)? {_ADV}{_V}{_END}"
)
_TAKEN = re.compile(
    r"\b(?P<no>skip(?:s|ped|ping)? (?:the|its|this|over the) (?:\w+ ){0,2}(?:body|block|branch)|"
    r"(?:body|block|if branch|if block) is (?:skipped|not (?:executed|taken|entered|run))|"
    r"(?:take|enter|execute|run|go into|fall into|reach)(?:s|es|ing)? the `?else`?|"
    r"the else (?:branch|block|clause|part) (?:runs|is (?:taken|executed|entered|run)))|"
    r"\b(?P<yes>(?:enter(?:s|ing)?|execut(?:es?|ing)|tak(?:es?|ing)) the (?:if|loop|then|while) "
    r"?(?:body|block|branch)|(?:if|then) (?:branch|block|body) (?:runs|is (?:taken|executed|"
    r"entered|run))|its body (?:runs|is (?:executed|entered)))"
)
_ERROR = r"(?:⟦(?P<s>\d+)⟧|(?P<e>[A-Z]\w*(?:Error|Exception|Iteration|Exit|Interrupt)))"
_RAISES = re.compile(
    rf"\b(?:raises?|raising|throws?|triggers?|caus(?:es|ing)) (?:an? |the )?{_ERROR}|"
    rf"{_ERROR.replace('<s>', '<s2>').replace('<e>', '<e2>')} (?:exception |error )?"
    r"(?:is|was|gets) (?:raised|thrown|triggered|caught|handled)"
)
_NO_RAISE = re.compile(r"\b(?:no (?:exception|error)s? (?:is|are|was|occurs?)|(?:without|not) "
                       r"rais(?:e|ing) (?:an? |any )?(?:exception|error))", re.I)  # fmt: skip
_GOTO = re.compile(
    r"\b(?:to|reach(?:es)?|continues? (?:at|with)|goes on (?:at|with)|resumes? at|next is|"
    r"proceeds? (?:at|with)) (?:the )?(?:line )?(?:[\[(])?\bL(?P<l>\d+)\b[\])]?"
)
_HEDGE = re.compile(
    r"\b(?:if(?! (?:block|branch|body|statement|condition|check|clause|test))|would|could|should|"
    r"may|might|whether|unless|suppose|otherwise|assum\w+|can|cannot|when|whenever|until|expects?|"
    r"expected|for example|e\.g\.|either|any|every|each|always|never|usually|says|or)\b",
    re.I,
)
_NOT = re.compile(r"\b(?:not|n't)\s*$")


def goto_labels(text: str) -> Iterator[tuple[int, int]]:
    """Yields (position, label) for labels that a sentence only points to."""
    for match in _GOTO.finditer(text):
        yield match.start("l"), int(match["l"])


def turn_of(text: str, atoms: Sequence[Atom]) -> int | None:
    """Returns the loop turn that a line mentions, -1 for the last; None for none or several."""
    turns = set()
    for match in _TURN.finditer(text):
        ahead = text[: match.start()].lower().rstrip()
        behind = text[match.end() :].lower()
        if ahead.endswith(("after", "after the", "before the", "until the", "than", "next")):
            return None
        if re.match(r"\s*(?:to|through|and|–|-|…) ?⟦", behind):
            return None
        number = match["n"] or match["d"]
        if match["p"] is not None:
            turns.add(int(match["p"]))
        elif number is not None:
            text_of = atoms[int(number)].text
            turns.add(int(text_of) if text_of.isascii() and text_of.isdigit() else None)
        else:
            turns.add(ORDINALS[match["o"].lower()])
    return turns.pop() if len(turns) == 1 else None


def is_hedged(sentence: str) -> bool:
    """Returns whether a sentence is conditional, general or uncertain."""
    return bool(_HEDGE.search(sentence))


def claims_of(sentence: str, atoms: Sequence[Atom]) -> Iterator[WordedClaim]:
    """Yields the claims of one masked sentence; of a hedged one, only its turns and counts."""

    def spell(match: re.Match[str]) -> str:
        return re.sub(r"⟦(\d+)⟧", lambda m: atoms[int(m[1])].text, match[0]).strip(" .,;:")

    yield from _count_claims(sentence, atoms, spell)
    if (turn := turn_of(sentence, atoms)) is not None:
        leaves = _LEAVES.search(sentence) or any(
            f"⟦{number}⟧" in sentence and atom.text == "False" for number, atom in enumerate(atoms)
        )
        text = f"iteration {turn if turn > 0 else 'last'}"
        yield WordedClaim("turn", text, value=str(turn), when="exit" if leaves else "any")
    if is_hedged(sentence):
        return
    later = _AFTER.search(sentence) is not None  # "after the swap, `x` is 3"
    taken: set[int] = set()
    for match in _EQUALITIES.finditer(sentence):  # total = 1 + 2 = 3
        *parts, last = [atoms[int(number)] for number in re.findall(r"\d+", match[0])]
        if last.literal:
            taken.add(int(match["v"]))
            for part in parts:
                if not part.literal:
                    yield WordedClaim("value", f"{part.text} = {last.text}", part.text, last.text)
    calling = re.search(r"\bcall(?:s|ed|ing)?\b", sentence) is not None
    for kind, when, pattern in _COMPILED:
        for match in pattern.finditer(sentence):
            value = int(match["v"])
            subject = match.groupdict().get("s")
            if value in taken or not atoms[value].literal:
                continue
            behind = sentence[match.end() :].lstrip()
            if re.match(r"(?:,|and|or) ?⟦\d+⟧(?! (?:is|=|\w+s\b))", behind) and _is_scalar_list(
                behind, atoms
            ):
                continue
            if "⟧=⟦" in match[0] and not (subject and atoms[int(subject)].text.isidentifier()):
                continue  # "2 - c=8": the value stands beside c, not the difference
            if subject is not None and atoms[int(subject)].literal and kind == "value":
                continue
            taken.add(value)
            text = atoms[value].text
            of = None if subject is None else atoms[int(subject)].text
            if (before := match.groupdict().get("b")) and of and atoms[int(before)].literal:
                yield WordedClaim("value", f"{of} = {atoms[int(before)].text}", of,
                           atoms[int(before)].text, "before")  # fmt: skip
            if kind == "return" and pattern.pattern.startswith(_S):
                yield WordedClaim("return", spell(match), of, text)
            elif kind == "return":
                yield WordedClaim("return", spell(match), None, text)
                if of is not None:
                    yield WordedClaim("value", f"{of} = {text}", of, text, "any")
            else:
                if later and when == "any" and kind == "value":
                    when = "after"
                if when == "any" and re.match(r"\W*[Bb]efore\b", sentence):
                    when = "around"  # "before iteration 3, `x` is 2"
                at_call = when == "any" and calling and "call" in sentence[: match.start()]
                given = tuple(_given_values(sentence[match.end() :], atoms))
                yield WordedClaim(kind, spell(match), of, text, "call" if at_call else when, given)
    for number, atom in enumerate(atoms):
        if f"⟦{number}⟧" in sentence and not atom.literal:
            yield from _equation(atom)
    yield from _branch_claims(sentence, atoms, spell, taken)
    yield from _exception_claims(sentence, atoms, spell)
    for _, label in goto_labels(sentence):
        yield WordedClaim("goto", f"[L{label}] runs next", value=str(label))


def _is_scalar_list(behind: str, atoms: Sequence[Atom]) -> bool:
    match = re.match(r"(?:,|and|or) ?⟦(\d+)⟧", behind)
    return match is not None and atoms[int(match[1])].literal


def _count_claims(sentence: str, atoms: Sequence[Atom], spell) -> Iterator[WordedClaim]:
    if re.search(r"\b(?:would|could|if|may|might|at most|at least|up to|until)\b", sentence):
        return
    named = _OVER.search(sentence)
    over = atoms[int(named[1])].text if named else None
    when = "any" if re.search(_ENDS, sentence) else "so far"
    for pattern in (_TIMES, _ONCE):
        for match in pattern.finditer(sentence):
            groups = match.groupdict()
            if groups.get("u") == "time" and groups.get("w") not in ("one", None):
                continue
            if groups.get("n") is not None:
                text = atoms[int(groups["n"])].text
                if text.isascii() and text.isdigit():
                    yield WordedClaim("turns", spell(match), over, text, when)
            else:
                yield WordedClaim(
                    "turns", spell(match), over, str(NUMBERS[groups["w"].lower()]), when
                )
    for match in _PARTS.finditer(sentence):
        of, word = atoms[int(match["s"])], match["w"]
        number = str(NUMBERS[word.lower()]) if word else atoms[int(match["n"])].text
        if not of.literal and number.isdigit() and not is_hedged(sentence):
            yield WordedClaim("value", spell(match), f"len({of.text})", number)
    if _GOES_ON.search(sentence) and not is_hedged(sentence):
        yield WordedClaim("goes on", "the loop goes on")
    if match := _NEVER.search(sentence):
        yield WordedClaim("turns", spell(match), value="0")


def _branch_claims(sentence, atoms, spell, taken: set[int]) -> Iterator[WordedClaim]:
    for match in _TRUTH.finditer(sentence):
        subject = match["s"] or match["s2"]
        of = None if subject is None else atoms[int(subject)].text
        given = tuple(_given_values(sentence[match.end() :], atoms))
        value = "False" if match["neg"] else "True"
        yield WordedClaim("branch", spell(match), of, value, given=given)
    for match in _CONDITION_LITERAL.finditer(sentence):
        value = int(match["v"])
        if value not in taken and atoms[value].text in ("True", "False"):
            yield WordedClaim("branch", spell(match), None, atoms[value].text)
    for match in _TAKEN.finditer(sentence):
        yield WordedClaim("branch", spell(match), None, "False" if match["no"] else "True")


def _given_values(behind: str, atoms: Sequence[Atom]) -> Iterator[tuple[str, str]]:
    if match := _WITH.match(behind):
        for name, value in re.findall(r"⟦(\d+)⟧ = ⟦(\d+)⟧", match[0]):
            if atoms[int(name)].text.isidentifier() and atoms[int(value)].literal:
                yield atoms[int(name)].text, atoms[int(value)].text


def _exception_claims(sentence, atoms, spell) -> Iterator[WordedClaim]:
    for match in _RAISES.finditer(sentence):
        if _NOT.search(sentence[: match.start()]):
            continue
        number = match["s"] or match["s2"]
        name = atoms[int(number)].text if number is not None else match["e"] or match["e2"]
        name = re.match(r"[A-Za-z_][\w.]*|", name)[0]  # type: ignore[index]
        if name:
            yield WordedClaim("raise", spell(match), value=name.rpartition(".")[2])
    if match := _NO_RAISE.search(sentence):
        yield WordedClaim("raise", spell(match), value="")


@functools.lru_cache(maxsize=2048)
def _equation(atom: Atom) -> tuple[WordedClaim, ...]:
    """Returns claims of code that states a value itself: "x = 5", "a + b = 3 + 4 = 7"."""
    if len(atom.text) > 2000 or "=" not in atom.text:
        return ()
    try:
        tree = ast.parse(atom.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _equation_chain(atom.text)
    match tree.body:
        case [ast.Assign(targets=[*targets], value=value)]:
            if not all(isinstance(target, ast.Name) for target in targets):
                return ()
            try:
                ast.literal_eval(value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                return ()
            text = ast.unparse(value)
            return tuple(
                WordedClaim("value", f"{t.id} = {text}", t.id, text, "after") for t in targets
            )  # fmt: skip
    return ()


def _equation_chain(text: str) -> tuple[WordedClaim, ...]:
    parts = re.split(r"(?<![=!<>:+\-*/%&|^])=(?!=)", text)
    if len(parts) < 2:
        return ()
    value = parts[-1].strip()
    try:
        ast.literal_eval(value)
        for part in parts[:-1]:
            ast.parse(part.strip(), mode="eval")
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return ()
    return tuple(
        WordedClaim("value", f"{part.strip()} = {value}", part.strip(), value)
        for part in parts[:-1]
    )
