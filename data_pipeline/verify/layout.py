"""Reads the layout of a monologue: sections, labels, headings of turns, sentences and answers."""

import dataclasses
import re

from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.clause_parts import Memory
from data_pipeline.verify.elements import Element, read_element
from data_pipeline.verify.flow_wording import UNREACHED, goto_labels, turn_of
from data_pipeline.verify.grammar import read_sentence
from data_pipeline.verify.masking import ATOM_NUMBER, Atom, is_literal, mask_code
from data_pipeline.verify.nouns import Noun
from data_pipeline.verify.stated import SentenceReading, WordedClaim
from data_pipeline.verify.turns import TurnTracker, counts_from_zero, loops_around, turns_range
from data_pipeline.verify.wordings import reword

_LABELS = re.compile(r"\bL(\d{1,6})\b")
_SENTENCE = re.compile(r"(?<=[.;!?])(?<!\bi\.e\.)(?<!\be\.g\.)\s+|(?<=\.\))\s+|;\s*")
_NUMBERING = re.compile(
    r"^\s*(?:#+\s*|[-*•]\s*|(?:\d+|⟦(?P<n>\d+)⟧)[.)](?=\W*[\w⟦])\s*|Step ⟦\d+⟧:?\s*)*\**"
)
_LIST_NUMBER = re.compile(r"^(\s*(?:[-*•]\s*)?)(\d+)([.)]\s)")
_IT_RETURNS = re.compile(
    r"(?:(?:here|now|this time|in this case),? )?(?:it|this)(?: time| call)? (?:now )?"
    r"(?=(?:returns|gives|evaluates to|comes to)\b)",
    re.I,
)
_LEFT_OUT = re.compile(
    r"\b(?:remaining|left out|omitted|and so on|"
    r"continues(?! with\b[^⟦]*⟦\d+⟧\W*$)|similarly|likewise|repeats|the same way|"
    r"rest of|iterations ⟦\d+⟧|skipp\w+ ahead|eventually)\b|\.\.\.|…",
    re.I,
)
_OVERALL = re.compile(  # tells of all turns, below a heading that is not indented less
    r"\b(?:in total|altogether|in all|overall|exactly once|only once|twice|"
    r"(?:⟦\d+⟧|two|three|four|five|six|seven|eight|nine|ten) times)\b",
    re.I,
)
_AFTER_LOOP = re.compile(
    r"^(?:\W|\bL\d+\b)*(?:after|once) "
    r"(?:the |all |processing |completing |this |exiting |iterating )*"
    r"(?:\w+ )?(?:loop|iterations?|characters|elements|items|iterating|strings|words)\b|"
    r"^(?:return statement|final|exit|conclusion|end of)\b|"
    r"^(?:(?:so|thus|therefore|finally|hence|lastly|in the end),? )?the (?:function|code|program) "
    r"(?:finally |then |now )?returns\b",
    re.I,
)
_HEADS = re.compile(r"(?:[\w-]+ ){0,3}[\w-]+:? \(?⟦\d+⟧\)?(?: \([a-z ]+\))?\s*:?")
GENERAL = ("understanding", "key properties")
# Variable names to treat as words unless in backticks.
_COMMON = """
a function value values list string integer number dictionary tuple loop body iteration turn
condition test check it line call block branch error exception to by from is with in so and or the
then else if no not all on at of as step last first second third next empty new final end statement
before after times time this that which what we one are was has have its their
"""
_WORDS = frozenset(_COMMON.split())


LONGEST_LINE = 4_000  # characters; lines of real monologues have up to some five hundred


def is_too_long(line: str) -> bool:
    """Returns whether a line of prose is left unread: many patterns take the square of its length.

    An assertion is parsed, at any length.
    """
    return len(line) > LONGEST_LINE and not ("[ANSWER]" in line or line.lstrip()[:7] == "assert ")


@dataclasses.dataclass
class Sentence:
    """Holds one sentence and its context.

    number:  line of the monologue, from 1
    text:    the sentence with its code masked
    plain:   the sentence as written
    label:   first line of the cited statement, -1 for a label that is no statement, None for none
    own:     whether this very line cites it
    around:  header -> turn, for the loops that it is known to be in
    turn:    the loop whose turn the sentence itself states
    section: title of the section, lower case
    opens:   whether it is the first sentence of its label
    element: the element of a comprehension that its line, or the one above, may be about
    inside:  as `around`, of those headings alone under which its line is indented
    """

    number: int
    text: str
    plain: str
    reading: SentenceReading
    label: int | None
    own: bool
    around: dict[int, int]
    turn: int | None
    section: str
    opens: bool
    element: Element | None = None
    inside: dict[int, int] = dataclasses.field(default_factory=dict)

    @property
    def is_general(self) -> bool:
        return self.section.startswith(GENERAL)


@dataclasses.dataclass
class Layout:
    """Holds the sentences of a monologue, and its assertions: line, text, whether the answer."""

    sentences: list[Sentence] = dataclasses.field(default_factory=list)
    answers: list[tuple[int, str, bool]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class _Line:
    number: int
    indent: int
    plain: str
    text: str
    atoms: list[Atom]


def read_layout(run: Replay, monologue: str) -> Layout:
    """Returns the sentences and assertions of a monologue, read and with their context."""
    return _LayoutReader(run, monologue).read()


def variable_names(run: Replay) -> frozenset[str]:
    """Returns the names to take for code even without backticks."""
    return frozenset(run.names | set(run.functions) | set(run.constants)) - _WORDS


def _is_english(name: str) -> bool:
    """Returns whether a variable's name may be meant as a word of a sentence."""
    return len(name) > 1 and name.isalpha() and name.islower()


# "The result is 3" tells of what was just worked out, also beside a variable `result`.
_OF_ANYTHING = (
    r"(?:result|output|value|answer|element|item|character|char|letter|key|string|list|word|"
    r"number|line|input)\b"
)


def _bare_names(names: frozenset[str]) -> re.Pattern[str] | None:
    """Returns a pattern for variables that are named without backticks at the start of a clause."""
    words = "|".join(sorted(name for name in names if _is_english(name)))
    if not words:
        return None
    return re.compile(
        rf"(?=(?:{words}) )"  # which fails sooner than what may stand in front
        r"(?:(?<=^)|(?<=^\s\s\s)|(?<=\band )|(?<=\bso )|(?<=, )|(?<=\. )|(?<=\bthen )|"
        r"(?<=\] )|(?<=: )|(?<=- )|(?<=\bnow )|(?:(?<=^[Tt]he )|(?<=, the )|(?<=\bso the )|"
        rf"(?<=\band the )|(?<=\. The ))(?!{_OF_ANYTHING}))({words})"
        r"(?= (?:is|=|becomes|remains|stays|equals|increases|was)\b| = )"
    )


class _LayoutReader:
    def __init__(self, run: Replay, monologue: str):
        self.run, self.monologue = run, monologue
        self.names = variable_names(run)
        self.layout = Layout()
        self.nouns = _bare_names(self.names) if "`" in monologue else None
        if self.nouns is not None:
            self.names = frozenset(name for name in self.names if not _is_english(name))
        self.section, self.label = "", None
        self.memory = Memory()
        self.topic: Noun | None = None
        self.tracker = TurnTracker(run, False)
        self.element: tuple[int, Element] | None = None  # indent of its line

    def read(self) -> Layout:
        lines = list(self._lines())
        masked = [(line.text, line.atoms) for line in lines if isinstance(line, _Line)]
        self.tracker.from_zero = counts_from_zero(masked)
        for line in lines:
            if isinstance(line, _Line):
                self._read_line(line)
            else:
                self.section, self.label, self.element = line, None, None
                self.tracker.clear()
                self.memory = Memory()
        return self.layout

    def _lines(self):
        """Yields each line of prose masked, and each title of a section."""
        in_answer = in_code = False
        for number, line in enumerate(self.monologue.split("\n"), 1):
            in_answer = (in_answer or "[ANSWER]" in line) and "[/ANSWER]" not in line
            stripped = line.strip()
            if stripped.startswith("```"):
                in_code = not in_code
            elif in_answer or stripped.startswith("assert "):
                self._answer(number, stripped, in_answer)
            elif not stripped or (in_code and not self._is_given(stripped)):
                continue
            elif stripped.startswith("#"):
                yield stripped.strip("# :*").lower()
            else:
                yield self._mask(number, line)

    def _is_given(self, line: str) -> bool:
        """Tells whether a line in a code fence of a backward monologue is an input."""
        value = re.sub(r"^\w+ = ", "", re.sub(r"\s+#[^\"']*$", "", line))
        return "### Reverse Deduction" in self.monologue and is_literal(value)

    def _answer(self, number: int, stripped: str, in_answer: bool) -> None:
        asserted = stripped.removeprefix("[ANSWER]").partition("[/ANSWER]")[0].strip()
        if asserted.startswith("assert "):
            asserted = asserted.removeprefix("assert ").strip()
            self.layout.answers.append((number, asserted, in_answer))
        elif in_answer and "==" in asserted:
            self.layout.answers.append((number, asserted, True))

    def _mask(self, number: int, line: str) -> _Line:
        indent = len(line) - len(line.lstrip())
        body = _LIST_NUMBER.sub(r"\1", line)
        text, atoms = mask_code(self._quote_names(body), self.names)
        text = " ".join(text.split())
        numbering = _NUMBERING.match(text)
        if numbering and (numbering["n"] is None or atoms[int(numbering["n"])].text.isdigit()):
            text = text[numbering.end() :]
        text = reword(text.lstrip(" -*•").replace("**", "").strip(), atoms)
        return _Line(number, indent, line.strip(), text, atoms)

    def _quote_names(self, line: str) -> str:
        """Puts backticks around names in sentences such as "so count is 3", outside code."""
        if self.nouns is None:
            return line
        parts = line.split("`")
        parts[::2] = [self.nouns.sub(r"`\1`", part) for part in parts[::2]]
        return "`".join(parts)

    def _read_line(self, line: _Line) -> None:
        cited = _cited_labels(line.text)
        first = cited[0] if cited else None
        heads = line.text.endswith(":") or turn_of(line.text, line.atoms) is not None
        self.tracker.enter_line(line.indent, heads and not cited)
        if _AFTER_LOOP.match(line.text) or (
            _OVERALL.search(line.text) and not self.tracker.around(line.indent)
        ):
            self.tracker.clear()
        self._follow_element(line)
        if first is not None:
            self.label = self._statement(first)
            self.tracker.leave_loop(self.label)
        opens, found, before = bool(cited), None, ""
        asked = self.memory
        self.memory = Memory(self.topic if self.tracker.stack else None)
        if not cited and asked.checked and not asked.carried:  # "it does not" may answer that
            self.memory.checked, self.memory.asked, self.memory.carried = True, asked.asked, True
        for plain, sentence in self._sentences_of(line):
            sentence, before = _insert_call(sentence, before, line.atoms), sentence
            own = _cited_labels(sentence)
            if own and own[0] != first:  # a second label inside the line
                self.label = self._statement(own[0])
                first, opens = own[0], True
            if turns_range(sentence, line.atoms):  # several turns at once
                self.tracker.clear()
            around, heading = self.tracker.around(), None
            if not self.section.startswith(GENERAL):
                heading = self.tracker.open(
                    line.indent, sentence, line.atoms, self.label, bool(cited)
                )
            if heading is not None:
                opens = opens or (found not in (None, heading.turn) and bool(cited))
                found, around = heading.turn, self.tracker.around()
                self._remember(sentence, line.atoms)
            reading = read_sentence(
                sentence, line.atoms, self.memory, selects=_tells_steps(self.section)
            )
            if heading is not None and heading.taken and _HEADS.fullmatch(sentence):
                reading.unread.clear()
            if heading is not None and heading.taken and not reading.claims:
                reading.claims.append(WordedClaim("bound", plain, "", heading.taken))
            self.layout.sentences.append(
                Sentence(
                    line.number,
                    sentence,
                    plain,
                    reading,
                    self.label,
                    bool(cited),
                    around,
                    heading.header if heading else None,
                    self.section,
                    opens,
                    self.element[1] if self.element else None,
                    self.tracker.around(line.indent),
                )
            )
            opens = False
            if heading is None and _LEFT_OUT.search(sentence):  # the rest may be far from here
                self.tracker.clear()

    def _follow_element(self, line: _Line) -> None:
        """Notes the element that a line opens with; it holds for lines indented more."""
        if self.element is not None and line.indent <= self.element[0]:
            self.element = None
        if _tells_steps(self.section) and (found := read_element(line.text, line.atoms)):
            self.element = (line.indent, found)

    def _remember(self, sentence: str, atoms: list[Atom]) -> None:
        """Lets "it" mean the element that a heading names."""
        values = [atoms[int(n)].text for n in ATOM_NUMBER.findall(sentence)]
        self.topic = Noun((values[0],)) if len(values) == 1 else None
        self.memory.noun = self.topic

    def _sentences_of(self, line: _Line):
        """Yields (the sentence as written, masked) for each sentence of a line."""
        for sentence in _SENTENCE.split(line.text):
            if sentence.strip():
                plain = ATOM_NUMBER.sub(lambda match: _code(line.atoms[int(match[1])]), sentence)
                yield plain, sentence

    def _statement(self, label: int) -> int:
        return self.run.starts.get(label - FIRST_LABEL + 1, -1)


def _tells_steps(section: str) -> bool:
    return not section.startswith(GENERAL) and "deduction" not in section


def _code(atom: Atom) -> str:
    return atom.text if atom.literal else f"`{atom.text}`"


def _insert_call(sentence: str, before: str, atoms: list[Atom]) -> str:
    """Inserts the call of the sentence before into "it returns 3", if it mentions only one."""
    if pointing := _IT_RETURNS.match(sentence):
        calls = [
            number
            for number in map(int, ATOM_NUMBER.findall(before))
            if not atoms[number].literal and atoms[number].text.endswith(")")
        ]
        if len(calls) == 1:
            return f"⟦{calls[0]}⟧ {sentence[pointing.end() :]}"
    return sentence


def _cited_labels(text: str) -> list[int]:
    """Returns the labels that a text is about, without those that it only points to."""
    pointed = {at for at, _ in goto_labels(text)}
    for denied in UNREACHED.finditer(text):
        pointed.add(denied.start("l") if denied["l"] else denied.start("l2"))
    return [
        int(match[1])
        for match in _LABELS.finditer(text)
        if match.start() not in pointed and match.start(1) not in pointed
    ]


__all__ = ["GENERAL", "Layout", "Sentence", "loops_around", "read_layout", "variable_names"]
