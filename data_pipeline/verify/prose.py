"""Reads free wording: places each sentence of a monologue in the run and judges its claims."""

import dataclasses
import itertools
import re
from collections.abc import Callable

from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.answer import (
    answer_claim,
    same_call,
    witness_call,
)
from data_pipeline.verify.backward.deduction import read_backward
from data_pipeline.verify.backward.general import read_general
from data_pipeline.verify.backward.goal import goal_of, other_goal
from data_pipeline.verify.backward.proposals import Proposals
from data_pipeline.verify.beyond import BeyondVerdicts
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, Claim, unread_claim
from data_pipeline.verify.descriptions import read_description
from data_pipeline.verify.doubts import Doubts
from data_pipeline.verify.elements import Element
from data_pipeline.verify.elsewhere import Elsewhere
from data_pipeline.verify.instances import Instances
from data_pipeline.verify.judging import ClaimJudge
from data_pipeline.verify.labels import count_claim, entry_claim, label_claim
from data_pipeline.verify.layout import (
    GENERAL,
    LONGEST_LINE,
    Sentence,
    is_too_long,
    read_layout,
)
from data_pipeline.verify.misnomers import deny
from data_pipeline.verify.phrases import code_of
from data_pipeline.verify.places import Place
from data_pipeline.verify.placing import Placement, place_sentences
from data_pipeline.verify.program_claims import ProgramClaims, read_rules, rule_calls
from data_pipeline.verify.quoted_code import QuotedCode
from data_pipeline.verify.reading import Reading
from data_pipeline.verify.reasons import Reasons
from data_pipeline.verify.residue import (
    beside_turn,
    false_arithmetic,
    half_read,
    is_denied,
    says_the_call_raises,
)
from data_pipeline.verify.screening import screened
from data_pipeline.verify.sentence_verdicts import (
    Progress,
    SentenceVerdicts,
    is_held_over,
    is_loose,
)
from data_pipeline.verify.shown_code import ShownCode
from data_pipeline.verify.stated import WordedClaim, claim_kind
from data_pipeline.verify.story import Story
from data_pipeline.verify.times import TimeVerdicts
from data_pipeline.verify.told_code import ToldCode, claims_of
from data_pipeline.verify.told_counts import counts_told
from data_pipeline.verify.told_flow import ToldFlow
from data_pipeline.verify.told_names import ToldNames
from data_pipeline.verify.told_operations import ToldOperations
from data_pipeline.verify.told_outcomes import ToldOutcomes
from data_pipeline.verify.told_positions import ToldPositions
from data_pipeline.verify.told_qualities import ToldQualities
from data_pipeline.verify.told_results import ToldResults
from data_pipeline.verify.told_tests import ToldTests
from data_pipeline.verify.turns import find_turn, turn_end, turn_window
from data_pipeline.verify.variations import Variations

MAX_CHARACTERS = 200_000
_MOST_CLAIMS = 20_000
_OF_VALUES = frozenset(
    ("return", "value", "put", "taken", "gives", "outcome", "given back", "called")
)
_TURN_ALONE = re.compile(r"\b(?:iteration|turn|pass|round)\b", re.I)
_WITNESS = re.compile(r"\bas with\b|\bholds with\b|\bloop over\b|\b(?:has to|must not) hold\b")
_NEEDED = re.compile(r"\b(?:must|has to|have to|needs? to|should|only if)\b", re.I)
_WHICH = re.compile(r"\d|['\"]|\b(?:once|twice|first|last|again|only)\b", re.I)
_SPAN = screened(  # "[L6]-[L7]", "Lines L6 to L7"
    r"\bL\d+\b[\])]?\s*(?:[-–—]|to|through|and)\s*[\[(]?\bL(?P<last>\d+)\b", re.I
)


def free_claims(
    run: Replay, monologue: str, run_call: Callable[[str], str | None] | None = None
) -> list[Claim]:
    """Returns the judged claims of a monologue in free wording, in the order of its lines.

    run_call: returns the outcome of another call that a backward monologue tells, None if unknown.
    """
    backward = "### Reverse Deduction" in monologue
    lines = monologue[:MAX_CHARACTERS].split("\n")
    unread = {n: line for n, line in enumerate(lines, 1) if is_too_long(line)}
    lines = ["" if n in unread else line for n, line in enumerate(lines, 1)]
    layout = read_layout(run, "\n".join(lines))
    judge = ClaimJudge(run)
    placement = place_sentences(run, judge, layout.sentences)
    goal = goal_of(layout.answers, lines) if backward else None
    judged = _MonologueJudge(run, judge, layout.sentences, placement, lines, goal, run_call)
    claims = judged.claims()
    claims += [unread_claim(n, line.strip()) for n, line in unread.items() if line.strip()]
    witness = witness_call(monologue[:MAX_CHARACTERS]) if backward else None
    if witness is not None and not same_call(witness, run.trace.call):
        # About the run of another input, which this trace cannot check.
        claims = [dataclasses.replace(c, verdict=NOT_CHECKABLE, truth=None) for c in claims]
    for number, asserted, is_answer in layout.answers:
        other = is_answer and not backward
        claims.append(answer_claim(run.trace, number, asserted, other_is_false=other))
    return sorted(claims, key=lambda claim: claim.line)


def told_calls(run: Replay, monologue: str) -> list[str]:
    """Returns the other calls that lines tell, each once: of rules, and of a backward monologue."""
    calls: dict[str, None] = {}
    lines = monologue[:MAX_CHARACTERS].split("\n")
    asserted = [line.strip() for line in lines if line.strip().startswith("assert ")]
    lines = [line if len(line) <= LONGEST_LINE else "" for line in lines]
    if "### Reverse Deduction" not in monologue:
        return rule_calls(run, lines)
    goal = goal_of([(0, line.removeprefix("assert ")) for line in asserted], lines)
    section = ""
    proposals = Proposals(run, goal, calls.setdefault) if goal is not None else None
    for line in lines if goal is not None else ():
        if line.startswith("#"):
            section = line.strip("# :*").lower()
        elif line.strip() and goal is not None:
            read_backward(run, section, line, run_call=calls.setdefault, goal=goal)
            if proposals is not None:
                proposals.read(section, line)
            if section.startswith(GENERAL):
                read_general(run, line, goal, calls.setdefault)
    return list(calls | dict.fromkeys(rule_calls(run, lines)))


def _tells_which(plain: str, told: str) -> bool:
    """Whether a sentence says of what an exception comes, or how often: "for '0', … is raised"."""
    return _WHICH.search(plain.replace("`", "").replace(told, " ")) is not None


class _MonologueJudge:
    """Judges the sentences of one monologue, in order."""

    def __init__(
        self,
        run: Replay,
        judge: ClaimJudge,
        sentences: list[Sentence],
        placement: Placement,
        lines: list[str],
        goal: str | None,
        run_call: Callable[[str], str | None] | None,
    ):
        self.lines, self.goal, self.run_call = lines, goal, run_call
        self.run, self.judge = run, judge
        self.times = TimeVerdicts(run, judge.values)
        self.elsewhere = Elsewhere(run, self.times)
        self.doubts = Doubts(run, judge.values.pools)
        self.story = Story(run, judge, self.times, sentences)
        self.told_code = ToldCode(run, judge)
        self.told_tests = ToldTests(run, judge.values)
        self.told_results = ToldResults(run, judge.values)
        self.told_flow = ToldFlow(run, judge.code)
        self.told_outcomes = ToldOutcomes(run, judge.values)
        self.beyond = BeyondVerdicts(run, judge)
        self.reasons = Reasons(run, judge.values)
        self.shown_code = ShownCode(run, judge.values)
        self.instances = Instances(run, judge.values)
        self.told_names = ToldNames(run, judge.values)
        self.quoted_code = QuotedCode(run, judge.values)
        self.told_operations = ToldOperations(run, judge.values)
        self.told_positions = ToldPositions(run, judge.values.pools)
        self.told_qualities = ToldQualities(run, judge.values.pools)
        self.program = ProgramClaims(Variations(run, run_call))
        self.proposals = Proposals(run, goal, run_call) if goal is not None else None
        self.sentences, self.placement = sentences, placement
        self.result: list[Claim] = []
        # (header, variable) -> (number of a claim, holds before, holds during, truth)
        self.listed: dict[tuple[int, str], list[tuple[int, bool, bool, str | None]]] = {}
        self.progress = Progress()
        self.verdicts = SentenceVerdicts(
            run,
            judge,
            placement,
            self.progress,
            self.story,
            self.told_tests,
            self.times,
            self.beyond,
        )

    def claims(self) -> list[Claim]:
        numbered = enumerate(self.sentences)
        for number, group in itertools.groupby(numbered, key=lambda item: item[1].number):
            if len(self.result) > _MOST_CLAIMS:
                break
            sentences, first = list(group), len(self.result)
            section = sentences[0][1].section
            backward = None
            if self.goal is not None:
                line = self.lines[number - 1]
                backward = read_backward(
                    self.run, section, line, run_call=self.run_call, goal=self.goal
                )
                if self.proposals is not None:
                    tried = self.proposals.read(section, line)
                    backward = tried or self.proposals.keeps(backward)
            if backward is not None:
                self._backward_line(number, backward, sentences)
            elif sentences[0][1].is_general:
                self._general_line(number, sentences)
            else:
                for index, sentence in sentences:
                    self._sentence(index, sentence, self.placement.places[index])
            if self.goal is not None and other_goal(self.lines[number - 1], self.goal):
                self.result.append(unread_claim(number, self.lines[number - 1].strip()))
            if self.goal is not None and not sentences[0][1].is_general:
                own = self.result[first:]
                self.result += self.doubts.of_types(number, self.lines[number - 1], own)
            else:
                own = self.result[first:]
                self.result += self.doubts.close(number, self.lines[number - 1], own)
        self._check_turn_lists()
        return self.result

    def _backward_line(
        self, number: int, backward: Reading, sentences: list[tuple[int, Sentence]]
    ) -> None:
        """Adds what a line of the deduction states; else what it states of the witness's run."""
        first = len(self.result)
        self.result += claims_of(backward, number)
        half_read = backward.unread and all(c.verdict == CONFIRMED for c in backward.claims)
        if self.proposals is not None and self.proposals.elsewhere:
            return
        if half_read and (checked := self._witness_run(sentences)):
            self.result[first:] = checked
            return
        self.result += self._witness_values(sentences)

    def _witness_run(self, sentences: list[tuple[int, Sentence]]) -> list[Claim]:
        """Judges a line that tells the witness's run, such as "`mid + 1` is `1 + 1`".

        Returns nothing unless every part of the line is understood and true: a line without a label
        may speak of a moment of the run that it does not name.
        """
        first = len(self.result)
        for index, sentence in sentences:
            self._sentence(index, sentence, self.placement.places[index])
        claims, self.result[first:] = self.result[first:], []
        needed = any(_NEEDED.search(sentence.text) for _, sentence in sentences)
        if needed and any(claim.kind != "branch" for claim in claims):
            return []  # a value that must be there at one moment of which the line does not tell
        return claims if all(claim.verdict == CONFIRMED for claim in claims) else []

    def _witness_values(self, sentences: list[tuple[int, Sentence]]) -> list[Claim]:
        """Judges "as with `x` = 3" beside a constraint: values that the witness's run must have."""
        claims = []
        for _, sentence in sentences:
            for worded in sentence.reading.claims if _WITNESS.search(sentence.text) else ():
                if worded.kind in ("value", "branch", "turns"):
                    verdict, truth = self.judge.judge(worded, Place(None, False))
                    claims.append(
                        Claim(
                            sentence.number, claim_kind(worded), worded.text[:500], verdict, truth
                        )
                    )
        return claims

    def _general_line(self, number: int, sentences: list[tuple[int, Sentence]]) -> None:
        """Reads a line about the program: what its code does, and values of this run."""
        first = len(self.result)
        for index, sentence in sentences:
            self._sentence(index, sentence, self.placement.places[index])
        line = self.lines[number - 1]
        if (truth := deny(code_of(self.run), line, line)) is not None:
            self.result[first:] = [Claim(number, "code", line[:500], CONTRADICTED, truth)]
            return
        for text, truth in self.told_qualities.denied(line) if self.goal is None else ():
            self.result[first:] = [Claim(number, "code", text[:500], CONTRADICTED, truth)]
            return
        own = self.result[first:]
        focus = self.told_code.focus(sentences[0][1])
        rules, line = read_rules(self.program, line)
        told = read_description(self.run, line, focus)
        told = Reading((*rules, *told.claims), told.unread)
        if self.goal is not None:
            tried = read_general(self.run, self.lines[number - 1], self.goal, self.run_call)
            wrong = any(c.verdict == CONTRADICTED for c in tried.claims) if tried else False
            told = tried if tried and (wrong or told.unread or not told.claims) else told
            if wrong:
                own = []
        if (told.claims and not told.unread) or not any(c.verdict == CONFIRMED for c in own):
            self.result[first:] = claims_of(told, number)
        elif any(c.verdict == NOT_CHECKABLE for c in own):
            kept = [claim for claim in own if claim.verdict == CONFIRMED]
            self.result[first:] = kept + claims_of(told, number)
        if self.goal is None and any(c.verdict == CONFIRMED for c in self.result[first:]):
            self.result += self.doubts.of_program(number, line, self.result[first:])

    def _sentence(self, index: int, sentence: Sentence, here: Occurrence | None) -> None:
        if not sentence.is_general and (counted := count_claim(self.run, sentence)) is not None:
            self.result.append(counted)
            return
        if sentence.opens and sentence.own and sentence.label is not None:
            flow = label_claim(self.run, sentence, here, index in self.placement.missing)
            if flow is not None:
                self.result.append(flow)
            if (entry := entry_claim(self.run, sentence, here)) is not None:
                self.result.append(entry)
        if here is not None and not sentence.is_general:
            self.progress.last = here
        start, missing = self._turn_start(sentence, here)
        if missing and self.beyond.is_past_the_end(sentence, self.lines[sentence.number - 1]):
            self._tell_past_the_end(sentence)
            return
        place = self._place(sentence, here, start)
        first = len(self.result)
        if counts := counts_told(self.run, sentence, place):
            self.result += counts
            return
        elsewhere = self.judge.comprehensions.misplaced(sentence.element, sentence.plain)
        for worded in sentence.reading.claims:
            verdict, truth = self.verdicts.judged(worded, sentence, here, place, missing)
            if verdict == CONTRADICTED and self.elsewhere.may_be_meant(worded, sentence, place):
                verdict = NOT_CHECKABLE
            self._add(sentence, worded, verdict, truth, place.window is not None)
            sentence = self._next_element(sentence, worded)
            if place.window is not None and worded.when == "any" and sentence.around:
                ends = self.judge.values.ends_of(worded, place.frame, place.window)
                if ends is not None:
                    key = (max(sentence.around), worded.subject or "")
                    self.listed.setdefault(key, []).append((len(self.result) - 1, *ends))
        self._unread(sentence, place)
        if (
            sentence.own
            and sentence.label == -1
            and place.occurrence is None
            and self.progress.last
        ):
            place = Place(self.progress.last, True)  # "[L8]", an `else:`: after the test before it
        if not sentence.is_general:
            self._tests(first, sentence, place)
        if elsewhere is not None:
            said = sentence.plain[:500]
            self.result.append(Claim(sentence.number, "value", said, CONTRADICTED, elsewhere))
        told = self.result[first:]
        if told and all((c.kind, c.verdict) == ("iteration", CONFIRMED) for c in told):
            beside = beside_turn(sentence.plain) if _TURN_ALONE.search(sentence.plain) else None
            if beside:
                self.result.append(unread_claim(sentence.number, beside))
        for text, truth in false_arithmetic(self.lines[sentence.number - 1], sentence.plain):
            said = Claim(sentence.number, "expression", text[:500], CONTRADICTED, truth)
            known = any(claim.verdict == CONTRADICTED for claim in self.result[first:])
            self.result += [] if known or sentence.is_general else [said]
        if is_loose(sentence, place):
            self.result += list(half_read(sentence.number, sentence.plain, self.result[first:]))
        if not sentence.is_general:
            self._deny(sentence, place)
            for text in self.shown_code.denied(sentence.plain, place):
                self.result.append(unread_claim(sentence.number, text))
            self.doubts.look(sentence, place)
            known = self.result[first:]
            for text, truth in (
                *self.told_names.doubts(sentence.plain, place, known),
                *self.quoted_code.doubts(sentence, place),
            ):
                said = Claim(sentence.number, "code", text[:500], CONTRADICTED, truth)
                self.result.append(unread_claim(sentence.number, text) if truth is None else said)
            for text, truth in self.instances.strangers(sentence.plain, place):
                said = Claim(sentence.number, "expression", text[:500], CONTRADICTED, truth)
                self.result.append(unread_claim(sentence.number, text) if truth is None else said)
            claims = self.reasons.judged(self.result[first:], sentence.plain, place)
            self.result[first:] = self.shown_code.judged(claims, sentence.plain, place)
            if len(self.result) == first and self.shown_code.names_code(sentence.plain, place):
                said = Claim(sentence.number, "code", sentence.plain[:500], CONFIRMED, None)
                self.result.append(said)
            self.doubts.account(sentence, place, self.result[first:])

    def _deny(self, sentence: Sentence, place: Place) -> None:
        """Contradicts what the run plainly denies, whatever else was read of the sentence."""
        plain = sentence.plain
        for text, truth in (
            *self.instances.denied(plain, place),
            *self.told_operations.denied(plain),
            *self.told_positions.denied(plain),
            *self.told_qualities.denied(plain),
        ):
            said = Claim(sentence.number, "expression", text[:500], CONTRADICTED, truth)
            self.result.append(said)

    def _tests(self, first: int, sentence: Sentence, place: Place) -> None:
        """Judges what a step says of a test that it does not name, and of a comprehension."""
        claims = [self.told_tests.judged(c, place) for c in self.result[first:]]
        held_over = place.window is not None and not place.sure and is_held_over(sentence)
        claims = [self.told_flow.judged(claim, place, held_over) for claim in claims]
        number, plain = sentence.number, sentence.plain
        self.result[first:] = self.told_results.judged(claims, number, plain, place)
        if len(self.result) == first and self.told_tests.names_values(sentence.plain, place):
            said = Claim(sentence.number, "code", sentence.plain[:500], CONFIRMED, None)
            self.result.append(said)

    def _next_element(self, sentence: Sentence, worded: WordedClaim) -> Sentence:
        """Lets a sentence go on to another turn: "for `k` = 0, …; for `k` = 1, …"."""
        if sentence.element is None or worded.kind != "value" or worded.subject is None:
            return sentence
        told = Element(worded.subject, str(worded.value), None)
        if sentence.element.name not in (None, told.name):
            return sentence
        taken = self.judge.comprehensions.taken(told, None)
        return dataclasses.replace(sentence, element=told) if taken else sentence

    def _tell_past_the_end(self, sentence: Sentence) -> None:
        """Contradicts what is told of a line in a turn that no loop makes."""
        truth = f"the loop makes {self.beyond.most_turns(max(sentence.around))} turns"
        flow = self.result[-1] if self.result else None
        if flow is not None and (flow.line, flow.kind) == (sentence.number, "flow"):
            self.result.pop()
        said = sentence.plain[:500]
        self.result.append(Claim(sentence.number, "flow", said, CONTRADICTED, truth))

    def _add(
        self,
        sentence: Sentence,
        worded: WordedClaim,
        verdict: str,
        truth: str | None,
        in_turn: bool,
    ) -> None:
        if worded.kind in (*_OF_VALUES, "refer") and is_denied(worded.text):
            verdict, truth = NOT_CHECKABLE, None  # read as what it denies
        if worded.kind == "raise" and verdict == CONFIRMED and not sentence.own:
            caught = worded.value and self.run.trace.raised is None
            which = not in_turn and _tells_which(sentence.plain, worded.text)
            if caught and (which or says_the_call_raises(sentence.plain)):
                verdict = NOT_CHECKABLE  # a line raises it, and it is caught: the call returns
        claim = Claim(sentence.number, claim_kind(worded), worded.text[:500], verdict, truth)
        self.result.append(claim)
        if verdict == CONFIRMED:
            self.doubts.hold(worded)

    def _turn_start(
        self, sentence: Sentence, here: Occurrence | None
    ) -> tuple[Occurrence | None, bool]:
        """Returns (the header's execution that begins the sentence's turn, whether none does)."""
        if not sentence.around or sentence.is_general:
            return None, False
        header = max(sentence.around)
        after = self.progress.turn if here is None else here.at - 1
        start = find_turn(self.run, sentence.around, header, after)
        if start is not None:
            self.progress.turn = start.at - 1
            return start, False
        if sentence.element is not None and self.judge.comprehensions.taken(sentence.element, None):
            return None, False  # a turn of a comprehension with a variable of that name
        runs = self.run.by_line.get(header, ())
        return None, bool(runs) and not self.run.trace.truncated

    def _place(
        self, sentence: Sentence, here: Occurrence | None, start: Occurrence | None
    ) -> Place:
        if sentence.is_general and not sentence.own:
            return Place(None, False)
        if start is not None and not sentence.own:
            window = turn_window(self.run, start, max(sentence.around))
            return Place(here or start, False, window, start.event.frame)
        if here is not None and sentence.own and (told := _SPAN.search(sentence.text)):
            return self._span(here, int(told["last"]))
        if here is None and not sentence.own and sentence.section.startswith("execution"):
            return Place(self.progress.last, False)
        return Place(here, sentence.own and here is not None)

    def _span(self, here: Occurrence, label: int) -> Place:
        """Returns the place of "[L6]-[L7]": from one line to the other."""
        line, frame = self.run.starts.get(label - FIRST_LABEL + 1), here.event.frame
        last = next(
            (o for o in self.run.by_line.get(line or -1, ())
             if o.at > here.at and o.event.frame == frame), None,
        )  # fmt: skip
        if last is None or last.at > turn_end(self.run, here):
            return Place(here, True)
        return Place(here, False, (here.at, last.end - 1), frame)

    def _unread(self, sentence: Sentence, place: Place) -> None:
        """Adds what was not read, and values that the run does not have."""
        if sentence.is_general:
            for text in sentence.reading.unread:
                self.result.append(unread_claim(sentence.number, text))
            return
        told = list(self.told_code.claims(sentence, place))
        self.result += self.told_outcomes.judged(told, place)
        pool = self.judge.values.pools.everything
        for text in sentence.reading.mentions:
            if not pool.has(text):
                self.result.append(unread_claim(sentence.number, text))

    def _check_turn_lists(self) -> None:
        """Contradicts values that hold only before their turn, in lists of values after each turn.

        Example: "iteration 1: n = 1, iteration 2: n = 1" where each turn adds one.
        """
        for told in self.listed.values():
            after = sum(last and not first for _, first, last, _ in told)
            before = [(at, truth) for at, first, last, truth in told if first and not last]
            if after >= 2 and after > 2 * len(before):
                for at, truth in before:
                    self.result[at] = dataclasses.replace(
                        self.result[at], verdict=CONTRADICTED, truth=truth
                    )
