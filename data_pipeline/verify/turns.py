"""Follows which turn of which loop a text tells: "**Iteration 2** (`i = 2`):" and what is below.

A heading may count from 0 or from 1, may name the loop's variable instead of a number, and holds
for the lines below it that are indented more. A heading for a turn that the loop does not make has
no place in the run: what is told below it cannot be true.
"""

import ast
import dataclasses
import re
from collections.abc import Sequence

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.clause_parts import equations
from data_pipeline.verify.flow_wording import turn_of
from data_pipeline.verify.masking import ATOM_NUMBER, Atom
from data_pipeline.verify.ordinals import ANY_ORDINAL, INDEXES, ORDINALS
from data_pipeline.verify.screening import screened
from data_pipeline.verify.values import compare
from data_pipeline.verify.wordlists import word_set

_FROM_ZERO = screened(r"\b(?:iteration|turn|pass)(?: (?:number|no\.))? ?#?⟦(\d+)⟧", re.I)
_NUMERAL = re.compile(r"\b(?:iteration|turn|pass)\b[^⟦]{0,12}⟦(\d+)⟧", re.I)
_ELEMENT = re.compile(
    rf"^(?:(?:for|when|processing|next|the|only|{ANY_ORDINAL}) )*"
    r"(?:\w+ )??(?P<n>\w+)(?:,|:| is)? \(?⟦(?P<v>\d+)⟧\)?"
    r"(?: \([^)]*\))?\s*(?::|[.,]|$|(?= is (?:checked|processed|examined|considered|visited|"
    r"encountered|evaluated|tested)\b))",
    re.I,
)
_BOUND = re.compile(r"^(?:(?:for|when|with|at|now|then|next|if) )*(?:the )?(?P<x>⟦\d+⟧)"
                    r"(?: (?:=|is|as) (?P<v>⟦\d+⟧))?(?=\s*[:,(]|\s*→|\s*$)", re.I)  # fmt: skip
_BOUND_ALONE = re.compile(  # "For x = 1 nothing changes", "Then v is -1 and …", "i = 4 leaves …"
    r"^(?:(?P<p>for|when|with|at|now|then|next|finally|lastly|so|and),? )*(?:the )?"
    r"(?P<x>⟦\d+⟧)(?: (?:(?P<e>=)|is) (?P<v>⟦\d+⟧))?(?= [a-z])(?! (?:or|and|is|in|to|becomes)\b)",
    re.I,
)
_VALUE_ALONE = re.compile(  # "For 'a', …", "'a': …"
    r"^(?:for|with|next(?: comes| is)?|then|now|at|on|when we (?:get|come) to|"
    r"(?:the )?(?:\w+ )?(?:part|piece|name|step|one):) ⟦(?P<v>\d+)⟧(?=\s*[:,]| is\b)|"
    r"^⟦(?P<w>\d+)⟧(?=:)",
    re.I,
)
_NTH_LOOP = screened(r"\b(first|second|third|last) (?:for |while )?loop\b", re.I)
_ELEMENTS = word_set(
    "character char element item word key number digit letter value string name member entry"
)
_LOOP_WITH = re.compile(
    r"^(?:(?:the )?(?:\w+ )?loop\b[^⟦:]*\b(?:with|for|at|to)|(?:for )?(?:the )?(?:first|second|"
    r"third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last|next) \w+:) "
    r"⟦(?P<x>\d+)⟧(?=\W*$|[:,])",
    re.I,
)
_FROM_TO = re.compile(
    r"\b(?:for|from|iterations?|when|with|where) (?:(?:values of )?(?P<x>⟦\d+⟧) (?:=|from|is) )?"
    r"(?:⟦\d+⟧ from )?⟦(?P<a>\d+)⟧ ?(?:to|through|until|up to|–|-|…|\.\.\.?) ?⟦(?P<b>\d+)⟧",
    re.I,
)
_COMPOUND = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.AsyncFor, ast.Match)
MISSING = 10**7  # the turn of a heading for a value that the loop never has


@dataclasses.dataclass(frozen=True)
class TurnHeading:
    """Holds the turn that a line opens.

    header: the loop's first line
    turn:   its turn from 1, -1 for the last one, MISSING for one that it does not make
    taken:  the value of the loop's variable by which it is named, "" for none
    """

    header: int
    turn: int
    taken: str = ""


@dataclasses.dataclass
class _Open:
    indent: int
    heading: TurnHeading
    here: Occurrence | None
    is_brief: bool = False  # named by a sentence of its own, and holds for its line alone
    is_block: bool = False  # lines below it were indented more


class TurnTracker:
    """Follows the turns that a text tells, line by line."""

    def __init__(self, run: Replay, from_zero: bool):
        self.run, self.from_zero = run, from_zero
        self.stack: list[_Open] = []
        self.sibling: dict[int, int] = {}  # indent -> header of the last heading there
        self.named: int | None = None  # the loop that "the second loop" means

    def clear(self) -> None:
        self.stack.clear()
        self.sibling.clear()

    def around(self, indent: int | None = None) -> dict[int, int]:
        """Returns header -> turn of the headings that hold now, or of those indented less."""
        held = [item for item in self.stack if indent is None or item.indent < indent]
        return {item.heading.header: item.heading.turn for item in held}

    def enter_line(self, indent: int, heads: bool) -> None:
        """Closes the headings that do not hold for a line with this indent."""
        while self.stack and (
            self.stack[-1].indent > indent
            or (
                self.stack[-1].indent == indent
                and (heads or self.stack[-1].is_brief or self.stack[-1].is_block)
            )
        ):
            self.stack.pop()
        for item in self.stack:
            item.is_block = item.is_block or item.indent < indent

    def leave_loop(self, line: int) -> None:
        """Closes the headings of loops that a cited line is not in."""
        self.stack = [
            item
            for item in self.stack
            if line == item.heading.header or line in self._body(item.heading.header)
        ]

    def open(
        self, indent: int, text: str, atoms: Sequence[Atom], label: int | None, cites: bool
    ) -> TurnHeading | None:
        """Reads a heading in a sentence and makes it hold; None if it has none."""
        number = turn_of(text, atoms)
        if told := _NTH_LOOP.search(text):
            self.named = self._nth_loop(told[1].lower())
        near = (
            self.named or self.sibling.get(indent) or (loop_of(self.run, label) if label else None)
        )
        bound = self._binding(text, atoms, number is not None, near)
        if number is None and bound is None:
            return None
        header = bound[0] if bound else self._loop_for(indent, text, label, cites)
        if header is None:
            return None
        outer = [
            item
            for item in self.stack
            if header in self._body(item.heading.header) and item.indent <= indent
        ]
        own = [item for item in self.stack if item.heading.header == header]
        self.stack = outer + own  # "the character 'a'" means the turn that is told, if it has it
        numerals = [atoms[int(found[1])].text for found in _NUMERAL.finditer(text)]
        taken = self._find(*bound) if bound else None
        turn = self._turn(number, taken, bound, any(map(str.isdigit, numerals)))
        self.stack = outer
        if turn is None:
            return None
        heading = TurnHeading(header, turn, bound[2] if bound else "")
        if taken is not None and turn == taken.turns[header]:
            self._imply(indent, taken, header)
        brief = number is None and not _BOUND.match(text) and _BOUND_ALONE.match(text) is not None
        self.stack.append(_Open(indent, heading, self._occurrence(heading), brief))
        self.sibling[indent] = header
        return heading

    # ---- which loop, which turn

    def _nth_loop(self, ordinal: str) -> int | None:
        """Returns the loop that an ordinal means, of those that stand in no other loop."""
        loops = sorted(self.run.loops)
        outer = [h for h in loops if not any(h != o and h in self._body(o) for o in loops)]
        index = INDEXES[ordinal]
        return outer[index] if len(outer) > max(index, 0) else None

    def _body(self, header: int) -> range:
        first, last = self.run.loops.get(header, (0, -1))
        return range(first, last + 1)

    def _binding(
        self, text: str, atoms: Sequence[Atom], numbered: bool, near: int | None
    ) -> tuple[int, str, str] | None:
        """Returns (header, variable, value) of a heading that names the loop's variable."""
        pairs: list[tuple[str, str]] = []
        if numbered:
            for number in map(int, ATOM_NUMBER.findall(text)):
                pairs += [(c.subject or "", c.value) for c in equations(atoms[number])]
            for x, v in re.findall(r"⟦(\d+)⟧ (?:=|is) ⟦(\d+)⟧", text):
                pairs.append((atoms[int(x)].text, atoms[int(v)].text))
        elif match := _BOUND.match(text):
            atom = atoms[int(match["x"][1:-1])]
            pairs += [(c.subject or "", c.value) for c in equations(atom)]
            if match["v"]:
                pairs.append((atom.text, atoms[int(match["v"][1:-1])].text))
        elif match := _BOUND_ALONE.match(text):
            pairs += self._loop_value(match, atoms)
        elif match := _LOOP_WITH.match(text):
            pairs += [(c.subject or "", c.value) for c in equations(atoms[int(match["x"])])]
        if (
            not pairs
            and not numbered
            and (match := _ELEMENT.match(text))
            and atoms[int(match["v"])].literal
            and self._is_element(match["n"].lower())
        ):
            value = atoms[int(match["v"])].text
            for header in self._likely_loops(match["n"].lower(), near):
                for name in self.targets(header):
                    here = self._find(header, name, value)
                    if here is not None and _is_nth(match[0], here, header):
                        return header, name, value
            return None
        if not pairs and not numbered and (match := _VALUE_ALONE.match(text)):
            atom = atoms[int(match["v"] or match["w"])]
            for header in self._likely_loops("", near) if atom.literal else ():
                for name in self.targets(header):
                    if self._find(header, name, atom.text) is not None:
                        return header, name, atom.text
            return None
        for name, value in pairs:
            if (header := self._loop_of_variable(name, near)) is not None:
                return header, name, value
        return None

    def _loop_value(self, match: re.Match[str], atoms: Sequence[Atom]) -> list[tuple[str, str]]:
        """Returns (variable, value) of "for x = 1 nothing changes", if a loop's variable has it."""
        atom = atoms[int(match["x"][1:-1])]
        pairs = [(c.subject or "", c.value) for c in equations(atom)]
        if match["v"]:
            value = atoms[int(match["v"][1:-1])]
            pairs = [(atom.text, value.text)] if value.literal else []
        told = match["p"] or match["e"] or (not match["v"] and len(pairs) == 1)
        return [
            (name, value)
            for name, value in pairs
            if told
            for header in self.run.loops
            if name in self.targets(header) and self._find(header, name, value) is not None
        ]

    def _loop_of_variable(self, name: str, near: int | None) -> int | None:
        """Returns the loop that binds a variable; of several, the one told here, else the first."""
        binding = [header for header in sorted(self.run.loops) if name in self.targets(header)]
        if len(binding) < 2 or near in binding:
            return near if near in binding else next(iter(binding), None)
        inner = self._body(self.stack[-1].heading.header) if self.stack else range(0)
        return next((header for header in binding if header in inner), binding[0])

    def _likely_loops(self, noun: str, near: int | None) -> list[int]:
        """Returns the loops that may take up what a noun means, the likeliest first."""
        named = [header for header in self.run.loops if noun in self.targets(header)]
        inner = self._body(self.stack[-1].heading.header) if self.stack else range(0)
        return named or sorted(self.run.loops, key=lambda h: (h not in inner, h != near))

    def _is_element(self, noun: str) -> bool:
        """Returns whether a noun may mean what a loop takes up: its name, or one of `nouns`."""
        named = {name for header in self.run.loops for name in self.targets(header)}
        return noun in _ELEMENTS or noun in named or f"{noun}s" in self.run.names

    def targets(self, header: int) -> list[str]:
        """Returns the variables that a for loop binds."""
        statement = self.run.statements.get(header)
        if not isinstance(statement, ast.For | ast.AsyncFor):
            return []
        return [node.id for node in ast.walk(statement.target) if isinstance(node, ast.Name)]

    def _loop_for(self, indent: int, text: str, label: int | None, cites: bool) -> int | None:
        run = self.run
        loops = sorted(run.loops)
        if cites and label is not None and (own := loop_of(run, label)) is not None:
            return own
        if indent in self.sibling:
            return self.sibling[indent]
        inside = [
            h for h in loops if not self.stack or h in self._body(self.stack[-1].heading.header)
        ]
        if re.search(r"\binner\b", text) and len(loops) > 1:
            return loops[-1]
        outer = [h for h in inside if not any(h in self._body(o) for o in inside)]
        if label is not None and (own := loop_of(run, label)) in outer:
            return own
        if len(outer) == 1 or (outer and label is None):
            return outer[0]
        return loop_of(run, label) if label is not None else None

    def _imply(self, indent: int, taken: Occurrence, header: int) -> None:
        """Opens the turns of the loops around one whose turn is known by its variable's value."""
        around = self.around()
        for outer, turn in sorted(taken.turns.items()):
            if outer not in around and header in self._body(outer) and outer != header:
                self.stack.append(_Open(indent, TurnHeading(outer, turn), None))

    def _turn(
        self,
        number: int | None,
        taken: Occurrence | None,
        bound: tuple[int, str, str] | None,
        numeral: bool,
    ) -> int | None:
        by_value = taken.turns[bound[0]] if taken is not None and bound is not None else None
        if number is None:
            return by_value if by_value is not None else MISSING
        if number == -1:
            return -1
        counted = number + 1 if numeral and self.from_zero else number
        if by_value is not None and numeral and by_value in (number, number + 1):
            return by_value
        return counted

    def _find(self, header: int, name: str, value: str) -> Occurrence | None:
        """Returns the next turn of a loop in which its variable has a value."""
        last = next((x.here for x in self.stack if x.heading.header == header), None)
        outer = {h: t for h, t in self.around().items() if h != header}
        known = self._last_at.get(header, -1)
        found = None
        for here in self.run.by_line.get(header, ()):
            if not here.turns.get(header) or not _fits(here, outer):
                continue
            text = here.event.changed.get(name)
            if text is None:
                text = self.run.value(here.event.frame, name, here.at)
            if text is not None and compare(value, text) == CONFIRMED:
                if here.at > known or (last is not None and here is last):
                    return here
                found = found or here
        return found

    @property
    def _last_at(self) -> dict[int, int]:
        return self.__dict__.setdefault("_at", {})

    def _occurrence(self, heading: TurnHeading) -> Occurrence | None:
        here = find_turn(self.run, self.around() | {heading.header: heading.turn}, heading.header,
                         self._last_at.get(heading.header, -1))  # fmt: skip
        if here is not None:
            self._last_at[heading.header] = here.at
        return here


def turns_range(text: str, atoms: Sequence[Atom]) -> re.Match[str] | None:
    """Returns where a text names turns from one to another: "for `i = 6` to `i = 88`"."""
    for match in _FROM_TO.finditer(text):
        first = [claim.subject for claim in equations(atoms[int(match["a"])])]
        last = [claim.subject for claim in equations(atoms[int(match["b"])])]
        written = match["x"] is not None or (first and first == last)
        if written or (first and atoms[int(match["b"])].literal):
            return match
    return None


def counts_from_zero(masked: Sequence[tuple[str, Sequence[Atom]]]) -> bool:
    """Returns whether a text has an "Iteration 0"."""
    for text, atoms in masked:
        for match in _FROM_ZERO.finditer(text):
            if atoms[int(match[1])].text == "0":
                return True
    return False


def loops_around(run: Replay, line: int) -> list[int]:
    """Returns the headers of the loops around a line, innermost first."""
    return sorted(
        (h for h, (first, last) in run.loops.items() if first <= line <= last), reverse=True
    )


def loop_of(run: Replay, line: int) -> int | None:
    """Returns the loop that a line heads, else the one around it, else the only loop."""
    if line in run.loops:
        return line
    around = loops_around(run, line)
    if around:
        return around[0]
    return next(iter(run.loops)) if len(run.loops) == 1 else None


def find_turn(run: Replay, around: dict[int, int], header: int, after: int) -> Occurrence | None:
    """Returns the execution of a header that begins a turn, the first one after an event if any."""
    found = None
    for here in run.by_line.get(header, ()):
        if _fits(here, around):
            if here.at > after:
                return here
            found = here
    return found


def _fits(here: Occurrence, around: dict[int, int]) -> bool:
    for header, turn in around.items():
        real = here.turns.get(header)
        if real is None:
            return False
        if real != (here.totals[header][0] if turn == -1 else turn):
            return False
    return True


def _is_nth(text: str, here: Occurrence, header: int) -> bool:
    """Returns whether a turn is the one that an ordinal of a heading names, if it has one."""
    for word in re.findall(r"[a-z]+", text.lower()):
        if word in ORDINALS:
            wanted = ORDINALS[word]
            return here.turns[header] == (here.totals[header][0] if wanted == -1 else wanted)
    return True


def turn_window(run: Replay, here: Occurrence, header: int) -> tuple[int, int]:
    """Returns the first and last event of the turn that an execution of a header begins."""
    frame = here.event.frame
    for following in run.by_line.get(header, ()):
        if following.at > here.at and following.event.frame == frame:
            if following.totals.get(header) is here.totals.get(header):
                return here.at, following.at - 1
            break
    last = run.frames[frame][1]
    for other in run.occurrences:
        if other.at > here.at and other.event.frame == frame and header not in other.turns:
            return here.at, other.at - 1
    return here.at, last


def body_window(run: Replay, here: Occurrence) -> tuple[int, int] | None:
    """Returns the first and last event of a header with its body; None for a line without one."""
    statement = run.statement_of(here.event)
    if not isinstance(statement, _COMPOUND):
        return None
    first, last = statement.lineno, statement.end_lineno or statement.lineno
    frame = here.event.frame
    for other in run.occurrences:
        if other.at > here.at and other.event.frame == frame:
            if not first < other.event.line <= last and other.event.line != first:
                return here.at, other.at - 1
            if other.event.line == first and isinstance(statement, ast.If):
                return here.at, other.at - 1
    return here.at, run.frames[frame][1]


def turn_end(run: Replay, here: Occurrence) -> int:
    """Returns the last event of the innermost turn that a line is in, or of the run."""
    headers = loops_around(run, here.event.line)
    for other in run.by_line.get(headers[0], ()) if headers else ():
        if other.at > here.at and other.event.frame == here.event.frame:
            return other.at - 1
    return len(run.events) - 1
