"""Reads free wording: extracts claims from lines, places each in the run and judges it.

Aligns lines that cite labels with the executed lines, forward in time, so that as few claims as
possible are contradicted: a text may skip steps, but it cannot make a wrong value right by jumping
ahead, since the steps after it would then be wrong. A line without a label refers to the label
before it, or to the run as a whole.
"""

import dataclasses
import re

from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.answer import answer_claim, same_call, witness_call
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, Claim
from data_pipeline.verify.judging import ClaimJudge, Place
from data_pipeline.verify.masking import Atom, mask_code
from data_pipeline.verify.wording import WordedClaim, claims_of, goto_labels, is_hedged, turn_of

MAX_CHARACTERS = 200_000
_MOST_CANDIDATES = 400
_MOST_STATES = 300
_MOST_PAIRS = 40_000  # cited lines times executions to try
_MOST_CLAIMS = 20_000
_AGAIN = 0.003  # breaks ties in favour of moving on
_LABELS = re.compile(r"\bL(\d{1,6})\b")
_SENTENCE = re.compile(r"(?<=[.;!?])\s+|(?<=\.\))\s+|;\s*")
_NUMBERING = re.compile(r"^\s*(?:#+\s*|[-*•]\s*|(?:\d+|⟦\d+⟧)[.)]\s*|Step ⟦\d+⟧:?\s*)*\**")
_IT_RETURNS = re.compile(r"[Ii]t (?:returns|gives|evaluates to|comes to)\b")
_GENERAL = ("understanding", "key properties")
_LEFT_OUT = re.compile(
    r"\b(?:remaining|left out|omitted|and so on|continues|similarly|likewise|repeats|the same way|"
    r"rest of|iterations ⟦\d+⟧|skipp\w+ ahead|eventually)\b|\.\.\.|…",
    re.I,
)
_NEGATED = re.compile(r"\b(?:not|never|n't|skip\w*|instead of|without|bypass\w*)\b|n't\b")
# Variable names to treat as words unless in backticks.
_COMMON = """
a function value values list string integer number dictionary tuple loop body iteration turn
condition test check it line call block branch error exception to by from is with in so and or the
then else if no not all on at of as step last first second third next empty new final end statement
before after times time this that which what we one are was has have its their
"""
_WORDS = frozenset(_COMMON.split())
_KIND_OF = {
    "turn": "iteration",
    "turns": "iteration",
    "goes on": "iteration",
    "raise": "exception",
    "goto": "flow",
    "yield": "return",
}


@dataclasses.dataclass
class _Sentence:
    """Holds one sentence and its context.

    label:  cited line of the program or None
    own:    whether this very line cites it
    around: header -> turn, for the loops that it is known to be in
    named:  the loop whose turn the sentence itself states
    opens:  whether it is the first sentence of its label
    """

    number: int
    text: str
    claims: list[WordedClaim]
    label: int | None
    own: bool
    around: dict[int, int]
    named: int | None
    section: str
    opens: bool


def free_claims(run: Replay, monologue: str) -> list[Claim]:
    """Returns the judged claims of a monologue in free wording, in the order of its lines."""
    backward = "### Reverse Deduction" in monologue
    units, answers = _sentences(run, monologue[:MAX_CHARACTERS])
    judge = ClaimJudge(run)
    placed = _place_sentences(run, judge, units)
    claims: list[Claim] = []
    listed: dict[tuple[int, str], list[tuple[int, bool, bool, str | None]]] = {}
    for unit, here in zip(units, placed, strict=True):
        if len(claims) > _MOST_CLAIMS:
            break
        if unit.opens and unit.own and unit.label is not None:
            flow = _flow_claim(run, unit, here)
            if flow is not None:
                claims.append(flow)
        anchored = here if not _is_general(unit) else None
        window = None
        if anchored is not None and not unit.own and unit.around:
            window = _turn_window(run, unit, anchored)
        place = Place(anchored, unit.own and anchored is not None, window)
        for worded in unit.claims:
            if worded.kind == "turn" and not unit.own:
                verdict, truth = _turn_verdict(unit, here, window)
            elif unit.own and here is None and unit.label is not None and worded.kind != "turns":
                verdict, truth = NOT_CHECKABLE, None  # about a line that does not run here
            else:
                verdict, truth = judge.judge(worded, place)
                if verdict == CONTRADICTED and unit.section.startswith(_GENERAL):
                    verdict = NOT_CHECKABLE  # about any call, or about an example
            claims.append(Claim(unit.number, _kind(worded), worded.text[:500], verdict, truth))
            if window is None or anchored is None or worded.when != "any":
                continue
            if (ends := judge.values.ends_of(worded, anchored, window)) is not None:
                key = (max(unit.around), worded.subject or "")
                listed.setdefault(key, []).append((len(claims) - 1, *ends))
    _check_turn_lists(claims, listed)
    witness = witness_call(monologue[:MAX_CHARACTERS]) if backward else None
    if witness is not None and not same_call(witness, run.trace.call):
        # About the run of another input, which this trace cannot check.
        claims = [dataclasses.replace(c, verdict=NOT_CHECKABLE, truth=None) for c in claims]
    for number, asserted in answers:
        claims.append(answer_claim(run.trace, number, asserted, backward=backward))
    return sorted(claims, key=lambda claim: claim.line)


def _check_turn_lists(
    claims: list[Claim], listed: dict[tuple[int, str], list[tuple[int, bool, bool, str | None]]]
) -> None:
    """Contradicts values that hold only before their turn, in lists of values after each turn.

    Example: "iteration 1: n = 1, iteration 2: n = 1" where each turn adds one.
    """
    for told in listed.values():
        after = sum(last and not first for _, first, last, _ in told)
        before = [(at, truth) for at, first, last, truth in told if first and not last]
        if after >= 2 and after > 2 * len(before):
            for at, truth in before:
                claims[at] = dataclasses.replace(claims[at], verdict=CONTRADICTED, truth=truth)


def _is_general(unit: _Sentence) -> bool:
    return unit.section.startswith(_GENERAL) and not unit.own


def _kind(worded: WordedClaim) -> str:
    if worded.kind == "outcome":
        return "value"
    if worded.kind == "value" and worded.subject is not None and not worded.subject.isidentifier():
        return "branch" if worded.value in ("True", "False") else "expression"
    return _KIND_OF.get(worded.kind, worded.kind)


# ---- reading


def _sentences(run: Replay, monologue: str) -> tuple[list[_Sentence], list[tuple[int, str]]]:
    names = frozenset(run.names | set(run.functions) | set(run.constants)) - _WORDS
    units: list[_Sentence] = []
    answers: list[tuple[int, str]] = []
    in_answer = in_code = False
    section, label = "", None
    around: dict[int, int] = {}  # header -> turn, for the loops around the text
    for number, line in enumerate(monologue.split("\n"), 1):
        in_answer = (in_answer or "[ANSWER]" in line) and "[/ANSWER]" not in line
        stripped = line.strip()
        if stripped.startswith("```"):
            in_code = not in_code
            continue
        if in_answer or stripped.startswith("assert "):
            asserted = stripped.removeprefix("[ANSWER]").partition("[/ANSWER]")[0].strip()
            if asserted.startswith("assert "):
                answers.append((number, asserted.removeprefix("assert ").strip()))
            elif in_answer and "==" in asserted:
                answers.append((number, asserted))
            continue
        if in_code or not stripped:
            continue
        if stripped.startswith("#"):
            section, label, around = stripped.strip("# :*").lower(), None, {}
            continue
        text, atoms = mask_code(line, names)
        text = _NUMBERING.sub("", " ".join(text.split())).replace("**", "").strip()
        cited = _cited_labels(text)
        first = cited[0] if cited else None
        if first is not None:
            label = run.starts.get(first - FIRST_LABEL + 1, -1)
            around = {h: t for h, t in around.items() if h in _loops_around(run, label)}
        opens, found, before = bool(cited), None, ""
        for sentence in _SENTENCE.split(text):
            sentence, before = _insert_call(sentence, before, atoms), sentence
            own = _cited_labels(sentence)
            if own and own[0] != first:  # a second label inside the line
                label = run.starts.get(own[0] - FIRST_LABEL + 1, -1)
                first, opens = own[0], True
            turn, named = turn_of(sentence, atoms), None
            if (
                turn is not None
                and label is not None
                and (loop := _loop_of(run, label)) is not None
            ):
                opens = opens or (found not in (None, turn) and bool(cited))
                outside = _loops_around(run, loop)
                around = {h: t for h, t in around.items() if h in outside} | {loop: turn}
                found, named = turn, loop
            claims = list(dict.fromkeys(claims_of(sentence, atoms)))
            own_label = bool(cited)
            units.append(
                _Sentence(number, sentence, claims, label, own_label, around, named, section, opens)
            )
            opens = False
            if turn is None and _LEFT_OUT.search(sentence):  # the rest may be far from here
                around = {}
    return units, answers


def _insert_call(sentence: str, before: str, atoms: list[Atom]) -> str:
    """Inserts the call of the sentence before into "it returns 3", if it mentions only one."""
    if _IT_RETURNS.match(sentence):
        calls = [
            number
            for number in map(int, re.findall(r"⟦(\d+)⟧", before))
            if not atoms[number].literal and atoms[number].text.endswith(")")
        ]
        if len(calls) == 1:
            return f"⟦{calls[0]}⟧{sentence[2:]}"
    return sentence


def _cited_labels(text: str) -> list[int]:
    """Returns the labels that a text is about, without those that it only points to."""
    pointed = {at for at, _ in goto_labels(text)}
    return [
        int(match[1])
        for match in _LABELS.finditer(text)
        if match.start() not in pointed and match.start(1) not in pointed
    ]


def _loops_around(run: Replay, line: int) -> list[int]:
    """Returns the headers of the loops around a line, innermost first."""
    return sorted(
        (h for h, (first, last) in run.loops.items() if first <= line <= last), reverse=True
    )


def _loop_of(run: Replay, line: int) -> int | None:
    """Returns the loop that a line heads, else the one around it, else the only loop."""
    if line in run.loops:
        return line
    around = _loops_around(run, line)
    if around:
        return around[0]
    return next(iter(run.loops)) if len(run.loops) == 1 else None


def _turn_verdict(
    unit: _Sentence, near: Occurrence | None, window: tuple[int, int] | None
) -> tuple[str, str | None]:
    """Checks whether the turn that a line without a label mentions exists."""
    if window is not None:
        return CONFIRMED, None
    header, turn = max(unit.around.items(), default=(0, 0))
    if near is None or header not in near.totals or unit.section.startswith(_GENERAL):
        return NOT_CHECKABLE, None
    total = near.totals[header][0]
    return (CONTRADICTED if turn > total + 1 else NOT_CHECKABLE), f"{total} turns"


def _turn_window(run: Replay, unit: _Sentence, near: Occurrence) -> tuple[int, int] | None:
    """Returns the first and last event of the turn that a line without a label is about."""
    header, turn = max(unit.around.items())
    frame = near.event.frame
    own = [o for o in run.by_line.get(header, ()) if o.event.frame == frame]
    own = [o for o in own if o.totals.get(header) is near.totals.get(header, o.totals.get(header))]
    for here, following in zip(own, [*own[1:], None], strict=True):
        wanted = here.totals[header][0] if turn == -1 else turn
        if here.turns.get(header) == wanted and here.at >= near.at:
            last = following.at - 1 if following is not None else run.frames[frame][1]
            return here.at, last
    return None


# ---- placing


def _place_sentences(
    run: Replay, judge: ClaimJudge, units: list[_Sentence]
) -> list[Occurrence | None]:
    """Returns the execution that each sentence is about (None: none, or unknown)."""
    groups: list[list[int]] = []  # sentences of one line and label
    for index, unit in enumerate(units):
        if unit.label is None or unit.section.startswith(_GENERAL):
            continue
        if unit.opens or not groups or units[groups[-1][0]].label != unit.label:
            if unit.own:
                groups.append([index])
        elif unit.own and units[groups[-1][0]].number == unit.number:
            groups[-1].append(index)
    chosen = _align(run, judge, [[units[i] for i in group] for group in groups])
    result: list[Occurrence | None] = [None] * len(units)
    for group, here in zip(groups, chosen, strict=True):
        for index in group:
            result[index] = here
    current: Occurrence | None = None
    for index, unit in enumerate(units):
        if unit.opens:
            current = result[index]
        elif unit.label is not None and not unit.own:
            result[index] = current
        if unit.section.startswith(_GENERAL) and unit.own:
            at = run.by_line.get(unit.label or -1, ())
            result[index] = at[-1] if at else None
    return result


def _align(
    run: Replay, judge: ClaimJudge, groups: list[list[_Sentence]]
) -> list[Occurrence | None]:
    """Places sentences forward with the fewest contradictions, by dynamic programming."""
    # A state: (event of the last placement, score, its number). Back pointers are by number.
    states: list[tuple[int, float, int]] = [(-1, 0.0, -1)]
    trail: list[tuple[Occurrence | None, int]] = []
    step = 1e-4
    most = max(4, min(_MOST_CANDIDATES, _MOST_PAIRS // (len(groups) + 1)))
    for group in groups:
        following: list[tuple[int, float, int]] = []
        states.sort()
        nested = {s[0] for s in states}
        candidates = _candidates(run, group, most)
        best, pointer, at_best = -1e18, 0, -1
        for here in candidates:
            while pointer < len(states) and states[pointer][0] < here.at:
                position, score, number = states[pointer]
                if score + step * position > best:
                    best, at_best = score + step * position, number
                pointer += 1
            score_before, number = best - step * here.at, at_best
            if pointer < len(states) and states[pointer][0] == here.at:  # the same execution again
                score = states[pointer][1] - _AGAIN
                if score > score_before:
                    score_before, number = score, states[pointer][2]
            if here.end > here.at + 1 and nested:
                for position, score, known in states:
                    if here.at <= position < here.end and score > score_before:
                        score_before, number = score, known
            if score_before < -1e17:
                continue
            trail.append((here, number))
            total = score_before + _score(judge, group, here)
            following.append((here.at, total, len(trail) - 1))
        for position, score, number in states:
            trail.append((None, number))
            following.append((position, score - 12.0, len(trail) - 1))
        following.sort(key=lambda state: -state[1])
        seen: set[int] = set()
        states = []
        for state in following:
            if state[0] not in seen:
                seen.add(state[0])
                states.append(state)
            if len(states) == min(most, _MOST_STATES):
                break
    chosen: list[Occurrence | None] = []
    number = max(states, key=lambda state: state[1])[2]
    while number >= 0:
        here, number = trail[number]
        chosen.append(here)
    return chosen[::-1]


def _candidates(run: Replay, group: list[_Sentence], most: int) -> list[Occurrence]:
    own = run.by_line.get(group[0].label or -1, [])
    if len(own) <= most:
        return own
    half = most // 2
    chosen = {o.at: o for o in (*own[:half], *own[-half:])}
    wanted = group[0].around.items()
    fitting = [o for o in own if wanted and all(o.turns.get(h) == t for h, t in wanted)]
    chosen |= {o.at: o for o in fitting[:half]}
    return [chosen[at] for at in sorted(chosen)]


def _score(judge: ClaimJudge, group: list[_Sentence], here: Occurrence) -> float:
    """Returns the confirmed claims minus a penalty for contradictions and mismatched turns.

    The penalty exceeds that of any skip and is below that of leaving the line unplaced.
    """
    score, against, astray = 0.0, 0, 0
    place = Place(here, True)
    for unit in group:
        for header, turn in unit.around.items():
            real = here.turns.get(header)
            wanted = here.totals[header][0] if turn == -1 and real is not None else turn
            astray += header != unit.named and real is not None and real != wanted
        for worded in unit.claims:
            verdict = judge.judge(worded, place)[0]
            score += verdict == CONFIRMED
            against += verdict == CONTRADICTED
    toll = 10.0 + 0.1 * min(against, 10) if against else 0.0
    return score - max(toll, 11.5 if astray else 0.0)


def _flow_claim(run: Replay, unit: _Sentence, here: Occurrence | None) -> Claim | None:
    text = "the line runs"
    if unit.label in (None, -1) or unit.section.startswith(_GENERAL):
        return None
    if here is not None:
        return Claim(unit.number, "flow", text, CONFIRMED, text)
    if run.by_line.get(unit.label):
        return Claim(unit.number, "flow", text, NOT_CHECKABLE, "it runs, but not after these steps")
    statement = run.statements.get(unit.label)
    from ast import ClassDef, FunctionDef, Global, Nonlocal, Try, With

    silent = statement is None or isinstance(
        statement, FunctionDef | ClassDef | Try | With | Global | Nonlocal
    )
    hedged = is_hedged(unit.text) or _NEGATED.search(unit.text) is not None
    if silent or hedged or not unit.claims or run.trace.truncated:
        return None
    return Claim(unit.number, "flow", text, CONTRADICTED, "the line does not run")
