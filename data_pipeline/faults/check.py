"""Checks a diagnosis against the two runs: parses its sentences and counts in the traces.

Independent of `diagnosis`: it knows the wording, but uses none of its code. It finds the execution
of a line by counting, compares the runs as plain lists of lines and variables, and never walks
them in parallel. It reports every sentence that it cannot parse, so none passes unchecked.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from data_pipeline.faults.alignment import match_lines, same_text
from data_pipeline.faults.repair_check import repair_fault
from data_pipeline.faults.sentences import outside_strings, pairs, partition_outside_strings
from data_pipeline.faults.step_check import step_fault, texts_fault
from data_pipeline.tracing import Event, Trace
from data_pipeline.tracing.replay import Moment, moments

_STEP = re.compile(r"^(\d+)\. Line (\d+) \(`(.*?)`\): (.*)\.$")
_GAP = re.compile(r"^\(Steps (\d+) to (\d+) are left out\.\)$")
_LINE = re.compile(r"[Ll]ine (\d+) \(`(.*?)`\)")


@dataclass(frozen=True)
class Complaint:
    """Holds a sentence that is false or cannot be parsed, and the reason."""

    sentence: str
    reason: str


def complaints(
    diagnosis: str, right: Trace, buggy: Trace, expected: str, why: str = ""
) -> list[Complaint]:
    """Returns the sentences of a diagnosis that are false; empty if all were parsed and are true.

    why: the sentence about the change that the diagnosis may contain; it is not checked.
    """
    return list(_Check(right, buggy, expected, why).complaints(diagnosis))


class _Check:
    """Checks one diagnosis against one pair of runs."""

    def __init__(self, right: Trace, buggy: Trace, expected: str, why: str):
        self.right, self.buggy, self.expected, self.why = right, buggy, expected, why
        self.ours, self.theirs = _in_time(right), _in_time(buggy)
        self.source = buggy.program.split("\n")
        self.right_source = right.program.split("\n")
        self.lines = match_lines(right.program, buggy.program)
        self.back = {theirs: ours for ours, theirs in self.lines.items()}
        self.steps: dict[int, int] = {}  # number of a described step -> index of its event

    def complaints(self, diagnosis: str) -> Iterator[Complaint]:
        simulation, found, rest = diagnosis.partition("\n\n### Root Cause Analysis\n")
        cause, also, repair = rest.partition("\n\n### Repair\n")
        head, _, steps = simulation.partition("\n")
        if head != "### Execution Simulation" or not found or not also or "\n" in cause:
            yield Complaint(diagnosis[:80], "the three parts are not there")
            return
        first, *lines = steps.split("\n")
        if first != f"The failed test calls {self.buggy.call} and asserts {self.expected}.":
            yield Complaint(first, "not this test")
        yield from self._check_simulation(lines)
        yield from self._check_cause(cause)
        if (reason := repair_fault(repair, self.right.program, self.buggy.program)) is not None:
            yield Complaint(repair, reason)

    # ---- the run

    def _check_simulation(self, lines: list[str]) -> Iterator[Complaint]:
        at, number = 0, 1
        for line in lines:
            if gap := _GAP.match(line):
                if int(gap[1]) != number:
                    yield Complaint(line, f"step {number} comes next")
                for _ in range(int(gap[1]), int(gap[2]) + 1):
                    at = self._next(at) + 1
                number = int(gap[2]) + 1
                continue
            step = _STEP.match(line)
            if step is None:
                yield Complaint(line, "cannot be read")
                continue
            at = self._next(at)
            if at >= len(self.theirs):
                yield Complaint(line, "the run has ended")
                return
            state = self.theirs[at]
            self.steps[number] = at
            if int(step[1]) != number or int(step[2]) != state.event.line:
                yield Complaint(line, f"step {number} is on line {state.event.line}")
            elif self.source[state.event.line - 1].strip() != step[3]:
                yield Complaint(line, "not the code of this line")
            elif (reason := step_fault(state, step[4], self.buggy)) is not None:
                yield Complaint(line, reason)
            at, number = at + 1, number + 1
        if self._next(at) < len(self.theirs):
            yield Complaint(lines[-1], "the run goes on")

    def _next(self, at: int) -> int:
        """Returns the next event to describe.

        Skips turns inside comprehensions, unwinding, and lines and resumptions that change and
        decide nothing and whose effect appears as an event.
        """
        while at < len(self.theirs):
            event = self.theirs[at].event
            quiet = not event.changed and not event.gone and event.branch is None
            code = self.source[event.line - 1].strip()
            heralds = (
                re.match(r"(else\s*:\s*)?(return|if|elif|while|for|def|@|try)\b", code) is not None
            )
            if not (
                event.kind in ("step", "unwind")
                or (event.kind == "resume" and quiet)
                or (event.kind == "line" and quiet and (heralds or self._only_raises(at)))
            ):
                break
            at += 1
        return at

    def _only_raises(self, at: int) -> bool:
        frame = self.theirs[at].event.frame
        later = (s.event for s in self.theirs if s.index > self.theirs[at].index)
        return next((e.kind == "exception" for e in later if e.frame == frame), False)

    # ---- the cause

    def _check_cause(self, cause: str) -> Iterator[Complaint]:
        opening = re.match(
            r"(?:Step (\d+) is the first to go wrong: |The run goes wrong in step (\d+): "
            r"|Up to step (\d+) all is as it must be; there it goes wrong: )"
            r"|(?:Step (\d+) is the last that is as it must be\. Then "
            r"|Up to and with step (\d+) all is as it must be\. Then )",
            cause,
        )
        if opening is None:
            yield Complaint(cause, "cannot be read")
            return
        told = cause[opening.end() :]
        if not told.endswith(ending := self._ending()):
            yield Complaint(told[-200:], f"it must end in: {ending}")
        told = told.removesuffix(ending)
        if fault := re.search(r" The line at fault is line (\d+) \(`([^`]*)`\)\.$", told):
            told = told[: fault.start()]
            line = int(fault[1])
            same = (
                line in self.back
                and line <= len(self.source)
                and (self.right_source[self.back[line] - 1] == self.source[line - 1])
            )
            if same or line > len(self.source) or self.source[line - 1].strip() != fault[2]:
                yield Complaint(fault[0], "this line is as in the right program")
        told = told.removesuffix(f" {self.why}" if self.why else "")
        at_step = any(opening.group(i) for i in (1, 2, 3))
        number = int(next(group for group in opening.groups() if group))
        if number not in self.steps:
            yield Complaint(cause, f"step {number} is not told")
            return
        index = self.steps[number]
        ours = self._counterpart(index)
        yield from self._check_agreement_before(index, at_step, cause)
        for line in _LINE.finditer(told):
            number = int(line[1])
            if number > len(self.source) or self.source[number - 1].strip() != line[2]:
                yield Complaint(line[0], "not the code of this line")
        reason = (
            self._check_wrong_step(told, index, ours)
            if at_step
            else self._check_continuation(told, index)
        )
        if reason is not None:
            yield Complaint(told, reason)

    def _counterpart(self, index: int) -> Moment | None:
        """Returns the matching step of the right run: the same line, run as many times."""
        state = self.theirs[index]
        kind = "line" if state.event.kind == "exception" else state.event.kind
        return self._same_turn(state, kind)

    def _same_turn(self, state: Moment, kind: str) -> Moment | None:
        """Returns the right run's step of that kind at the same execution count of this line."""
        here = state.event.line
        times = sum(
            s.event.line == here and s.event.kind == kind and s.index <= state.index
            for s in self.theirs
        )
        matches = sorted(
            (s for s in self.ours
             if s.event.line == self.back.get(here) and s.event.kind == kind),
            key=lambda s: s.index,
        )  # fmt: skip
        return matches[times - 1] if 0 < times <= len(matches) else None

    def _check_agreement_before(self, index: int, at_step: bool, cause: str) -> Iterator[Complaint]:
        """Checks that both runs did the same before on the lines that both programs have."""
        theirs = self._shared_steps(self.theirs[: index + (not at_step)], self.back)
        if at_step and theirs and self.theirs[index].event.kind == "exception":
            theirs.pop()  # the state of a line interrupted by the exception
        ours = self._shared_steps(self.ours, {line: line for line in self.lines})
        for (line, one), (also, other) in zip(theirs, ours, strict=False):
            if (
                line != also
                or one.event.kind != other.event.kind
                or not _same(one.after, other.after)
                or (one.event.kind == "line" and one.event.branch != other.event.branch)
                or not same_text(one.event.value, other.event.value)
            ):
                yield Complaint(cause, f"the runs differ before, on line {one.event.line}")
                return
        if len(theirs) > len(ours):
            yield Complaint(cause, "the right run ended before")

    def _shared_steps(
        self, states: list[Moment], lines: Mapping[int, int]
    ) -> list[tuple[int, Moment]]:
        """Returns (line of the right program, step) on lines that both programs have."""
        return [
            (lines[s.event.line], s)
            for s in states
            if s.event.line in lines and s.event.kind in ("call", "line", "return", "yield")
        ]

    def _check_wrong_step(self, told: str, index: int, ours: Moment | None) -> str | None:
        """Returns the reason why the sentence about a wrong step is false; None if true."""
        state = self.theirs[index]
        event = state.event
        line = _LINE.match(told)
        if line is None or int(line[1]) != event.line:
            return f"the step is on line {event.line}"
        rest = told[line.end() :].lstrip()
        if extra := re.fullmatch(r"must not run here(?:, where (.*))?\.", rest):
            if event.line in self.back:
                return "the right program has this line too"
            return self._check_next(extra[1], index, event.depth) if extra[1] else None
        if values := re.fullmatch(r"(?:leaves|binds) (.*) is needed\.", rest):
            return self._check_values(values[1], state, ours)
        if nothing := re.fullmatch(r"raises nothing, where (.*) is needed\.", rest):
            line_of_right = self._same_turn(state, "line")
            error = line_of_right and _exception_at(self.ours, line_of_right)
            return None if error and nothing[1] in (error, error.split(":")[0]) else f"not {error}"
        if ours is None:
            return "the right run has no such step"
        if found := re.match(r"(returns|hands out) ", rest):
            wanted = f"{event.value}, where {ours.event.value} is needed."
            kind = {"returns": "return", "hands out": "yield"}[found[1]]
            same = rest[found.end() :] == wanted and event.kind == kind
            return None if same else f"it must read: {wanted}"
        if rest.startswith("raises "):
            return self._check_exception(rest, state, ours)
        return self._check_branch(rest, state, ours)

    def _check_exception(self, told: str, state: Moment, ours: Moment) -> str | None:
        raised = state.event.raised
        error = " ".join(str(raised).split()) if raised else "nothing"
        needed = _exception_at(self.ours, ours)
        for text in (error, raised.type if raised else "nothing"):
            for end in (f"{needed} is needed.", f"{(needed or '').split(':')[0]} is needed.",
                        "no exception may arise."):  # fmt: skip
                if (needed is None) != end.startswith("no exception"):
                    continue
                head, tail = f"raises {text}", f", where {end}"
                if told.startswith(head) and told.endswith(tail):
                    reads = told[len(head) : len(told) - len(tail)]
                    if not reads or reads.startswith(" with "):
                        return texts_fault(reads, state.before)
        return f"it raises {error}, the right run {needed}"

    def _check_values(self, told: str, state: Moment, ours: Moment | None) -> str | None:
        found, middle, needed = partition_outside_strings(told, ", where ")
        if ours is None or not middle:
            return "the right run has no such step"
        named = set()
        for text, side in ((found, state), (needed, ours)):
            read = dict(pairs(text))
            absent = re.findall(r"no value of (\w+)", outside_strings(text))
            if not read and not absent:
                return "cannot be read"
            for name, literal in read.items():
                if side.after.get(name) != literal:
                    return f"{name} = {side.after.get(name)}"
            for name in absent:
                if name in side.after:
                    return f"{name} = {side.after[name]}"
            named |= {*read, *absent}
        same = [
            name for name in named if same_text(state.after.get(name, ""), ours.after.get(name, ""))
        ]
        return f"{same[0]} does not differ" if same else None

    def _check_branch(self, told: str, state: Moment, ours: Moment) -> str | None:
        event, other = state.event, ours.event
        truth = {True: "true", False: "false", None: "unknown"}
        condition = re.fullmatch(
            r"has a condition that is (\w+)( with .*)?, where it must be (\w+)\.", told
        )
        if condition:
            words = truth[event.branch], truth[other.branch]
            if (condition[1], condition[3]) != words or words[0] == words[1]:
                return f"it is {words[0]}, and {words[1]} in the right run"
            return texts_fault(condition[2] or "", state.before)
        if begun := re.fullmatch(r"begins iteration (\d+)(.*), where the loop must end\.", told):
            if int(begun[1]) != event.iteration or other.branch is not False:
                return f"iteration {event.iteration} begins"
            return texts_fault(begun[2], event.changed)
        if ended := re.fullmatch(
            r"ends the loop, where iteration (\d+) must begin( with .*)?\.", told
        ):
            if event.branch is not False or int(ended[1]) != other.iteration:
                return f"iteration {other.iteration} begins in the right run"
            return texts_fault(ended[2] or "", other.changed)
        words = "(entered|passed by|not reached)"
        if entered := re.fullmatch(f"is {words}, where it must be {words}\\.", told):
            meant = {"entered": True, "passed by": False, "not reached": None}
            same = meant[entered[1]] == event.branch and meant[entered[2]] == other.branch
            return None if same else "not so"
        return "cannot be read"

    def _check_continuation(self, told: str, index: int) -> str | None:
        """Checks the continuation of both runs after the last right step."""
        latest = max(state.index for state in self.theirs[: index + 1])
        coming = sorted(
            (
                s
                for s in self.theirs
                if s.index > latest
                and s.event.kind != "unwind"
                and not (s.event.kind == "resume" and not s.event.changed)
            ),
            key=lambda s: s.index,
        )
        nxt = coming[0] if coming else None
        # A line that only returns may be described as that return.
        events = [s.event for s in coming[: 2 if nxt and nxt.event.kind == "line" else 1]]
        missing = re.fullmatch(r"`([^`]*)` is missing: (.*), but (.*?)\.", told)
        plain = re.fullmatch(r"(.*?), where (.*)\.", told)
        if missing is not None:
            goes, must = missing[3], missing[2]
            lines = enumerate(self.right_source, 1)
            if not any(t.strip() == missing[1] and n not in self.lines for n, t in lines):
                called = any(self.right_source[s.event.line - 1].strip() == missing[1]
                             for s in self.ours if s.event.kind == "call")  # fmt: skip
                if not (called and must.endswith("must be called")):
                    return f"`{missing[1]}` is not missing"
        elif plain is not None:
            goes, must = plain[1], plain[2]
        else:
            return "cannot be read"
        if at := re.fullmatch(r"the run goes on at line (\d+) \(`[^`]*`\)", goes):
            if nxt is None or nxt.event.line != int(at[1]):
                return f"the run goes on at line {nxt.event.line if nxt else 'none'}"
        elif ends := re.fullmatch(r"(\S+) (returns|hands out) (.*)", goes):
            kind = {"returns": "return", "hands out": "yield"}[ends[2]]
            told_so = [e.value for e in events if e.kind == kind and _name(e) == ends[1]]
            if ends[3] not in told_so:
                return f"next comes {events}"
        elif error := re.fullmatch(r"(\w+)(?:: .*)? is raised", goes):
            if error[1] not in [e.raised.type for e in events if e.raised]:
                return f"next comes {events}"
        elif goes != "the run ends" or nxt is not None:
            return "the run goes on"
        return self._check_next(must, index + 1, nxt.event.depth if nxt else 0)

    def _check_next(self, must: str, index: int, depth: int) -> str | None:
        """Checks that the right run does `must` where the buggy one reaches the step at `index`.

        Returns the reason if it does not, else None.
        """
        done = len(self._shared_steps(self.theirs[:index], self.back))
        shared = self._shared_steps(self.ours, {line: line for line in self.lines})
        start = self.ours.index(shared[done - 1][1]) + 1 if done else 0
        coming = self.ours[start:]
        if run := re.fullmatch(r"`([^`]*)` must run(?: and leave (.*))?", must):
            for state in coming:
                if state.event.kind != "line":
                    continue
                if self.right_source[state.event.line - 1].strip() == run[1]:
                    return texts_fault(run[2] or "", state.event.changed)
                if state.event.line in self.lines and state.event.depth <= depth:
                    break
            return f"`{run[1]}` does not run next in the right run"
        if back := re.fullmatch(r"(\S+) must (return|hand out) (.*)", must):
            kinds = ("return", "yield")
            first = next((s.event for s in coming if s.event.kind in kinds), None)
            kind = {"return": "return", "hand out": "yield"}[back[2]]
            same = first is not None and (
                (_name(first), first.kind, first.value) == (back[1], kind, back[3])
            )
            return None if same else f"the right run: {first}"
        if call := re.fullmatch(r"(\S+) must be called", must):
            first = next((s.event for s in coming if s.event.kind == "call"), None)
            return None if first and _name(first) == call[1] else f"{call[1]} is not called"
        if error := re.fullmatch(r"(\w+)(: .*)? must be raised", must):
            first = next((s.event for s in coming if s.event.raised), None)
            raised = " ".join(str(first.raised).split()) if first else ""
            same = f"{error[1]}{error[2] or ''}" in (raised, raised.split(":")[0])
            return None if same else f"{raised or 'nothing'} is raised"
        if must == "the run must end":
            return "the right run goes on" if coming else None
        return "cannot be read"

    def _ending(self) -> str:
        call, trace = self.buggy.call, self.buggy
        if trace.raised is not None:
            where = f" in line {trace.raised.line}" if trace.raised.line else ""
            said = f"So {call} raises {_line(str(trace.raised))}{where}, where"
            said = " ".join(said.split())
        elif trace.result is not None:
            said = " ".join(f" So {call} returns {_line(trace.result)}, where".split())
        else:
            said = f"So {call} does not end: stopped after {trace.truncated};"
        return f" {said} {self.expected} is asserted."


# ---- parts


def _in_time(trace: Trace) -> list[Moment]:
    """Returns the steps in the order of their effects.

    The effect of a line is known when its calls are over. Leaves out the steps of lambdas and
    generator expressions: they show in the effect of their line.
    """
    ordered: list[Moment] = []
    open_lines: list[Moment] = []
    for state in moments(trace):
        if state.event.function.endswith(("<genexpr>", "<lambda>")):
            continue
        if state.event.kind == "step":
            continue
        while open_lines and open_lines[-1].event.depth >= state.event.depth:
            ordered.append(open_lines.pop())
        if state.event.kind == "line":
            open_lines.append(state)
        else:
            ordered.append(state)
    return ordered + open_lines[::-1]


def _line(text: str) -> str:
    text = text.replace("\n", "\\n").replace("\r", "\\r")
    return text if len(text) <= 600 else f"{text[:600]} …"


def _name(event: Event) -> str:
    return event.function.split(".")[-1]


def _exception_at(states: list[Moment], state: Moment) -> str | None:
    """Returns the exception that the right run raises at this step or at the end of its line."""
    if state.event.raised is not None:
        return " ".join(str(state.event.raised).split())
    at = states.index(state)
    for later in states[at + 1 :]:
        if later.event.frame == state.event.frame:
            if later.event.kind != "exception" or later.event.raised is None:
                return None
            return " ".join(str(later.event.raised).split())
    return None


def _same(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return one.keys() == other.keys() and all(same_text(one[n], other[n]) for n in one)
