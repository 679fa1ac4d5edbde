"""The four questions of REval (Chen et al., arXiv 2403.16437) about a statement of a run.

    coverage  is the line executed?                                     YES or NO
    state     value and type of a variable after the line               VALUE; TYPE
    path      the line that is executed next                            a label, or END
    output    the value that the call returns                           a literal

Of a line that is executed several times, each of its values and each of its next lines is right,
as in REval. Of a line that is not executed, state and path are NIL. Four questions about one
statement form a group, by which incremental consistency is scored.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data_pipeline.pyx.prompts import FIRST_LABEL, label_lines
from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.tracing import Trace
from data_pipeline.tracing.replay import Replay

TASKS = ("coverage", "state", "path", "output")
NIL, END = "NIL", "END"

_NIL_SPELLINGS = ("NIL", "[NIL]", "NIL; NIL")
_TYPE_NAMES = {"string": "str", "integer": "int", "none": "nonetype", "boolean": "bool"}
_LABEL = re.compile(r"\[?L?(-?\d+)\]?")
_MOST_ANSWER = 100_000


@dataclass(frozen=True)
class RunQuestion:
    """Asks one of the four questions about a statement.

    Attributes:
      task: one of TASKS.
      line: 1-based line of the program (its label is FIRST_LABEL - 1 higher).
      text: the question, program included.
      answers: all right answers as text, the first that occurs in the run first.
    """

    task: str
    line: int
    text: str
    answers: tuple[str, ...]

    @property
    def label(self) -> str:
        """Returns the line's label in the text, such as "L7"."""
        return f"L{self.line + FIRST_LABEL - 1}"


def run_questions(trace: Trace, *, most: int = 4) -> list[tuple[RunQuestion, ...]]:
    """Returns a group of four questions for each of at most `most` statements of the run.

    Chosen are assignments to one name, executed ones and others in turn, in an order that depends
    on the program alone. Returns none for a run that raised, was cut, or whose result is no
    literal.
    """
    if trace.result is None or trace.truncated is not None:
        return []
    try:
        parse_literal(trace.result)
    except LiteralError:
        return []
    run = Replay(trace)
    groups = []
    for line, name in _statements(run):
        group = _group(run, line, name)
        if group is not None:
            groups.append(group)
    executed = [group for group in groups if group[0].answers == ("YES",)]
    others = [group for group in groups if group[0].answers == ("NO",)]
    most_others = max(most // 4, most - len(executed))
    return [*_spread(executed, most - min(len(others), most_others)), *others[:most_others]]


def _spread(groups: Sequence[tuple], most: int) -> list[tuple]:
    """Chooses `most` of the groups at equal distances, the first among them."""
    if len(groups) <= most:
        return list(groups)
    return [groups[number * len(groups) // most] for number in range(most)]


def _statements(run: Replay) -> Iterator[tuple[int, str]]:
    """Yields line and name of the assignments to one name inside functions, top to bottom."""
    lines: dict[int, str | None] = {}
    for function in ast.walk(run.tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)])
                    | ast.AugAssign(target=ast.Name(id=name))
                ):
                    # Two statements on a line are no question about "the line".
                    lines[node.lineno] = None if node.lineno in lines else name
    for line, name in sorted(lines.items()):
        if name is not None and line == run.starts.get(line):
            yield line, name


_ANY = "if it is executed several times, any of them counts"


def _group(run: Replay, line: int, name: str) -> tuple[RunQuestion, ...] | None:
    """Returns the four questions about a statement; None if its values are no literals."""
    trace = run.trace
    states, following = _states(run, line, name), _next_labels(run, line)
    if states is None:
        return None
    place = f"line [L{line + FIRST_LABEL - 1}]"
    asked = {
        "coverage": (f"Is {place} executed? Answer YES or NO.", ("YES" if following else "NO",)),
        "state": (
            f"After {place} is executed, what are the value and the type of `{name}`? Answer "
            f"VALUE; TYPE, or {NIL} if the line is not executed; {_ANY}.",
            states or (NIL,),
        ),
        "path": (
            f"Which line is executed right after {place}? Answer its label, {END} if the call "
            f"ends there, or {NIL} if the line is not executed; {_ANY}.",
            following or (NIL,),
        ),
        "output": ("What does the call return?", (trace.result or "None",)),
    }
    return tuple(
        RunQuestion(task, line, _text(trace, question), answers)
        for task, (question, answers) in asked.items()
    )


def _text(trace: Trace, question: str) -> str:
    program = label_lines(trace.program.rstrip())
    return (
        f"You are given a Python program whose lines are labelled, and a call.\n"
        f"[PYTHON]\n{program}\n\n{trace.call}\n[/PYTHON]\n{question} "
        f"Write the answer between [ANSWER] and [/ANSWER]."
    )


def _states(run: Replay, line: int, name: str) -> tuple[str, ...] | None:
    """Returns "VALUE; TYPE" of a name after each execution of a line; None if one is no literal."""
    found = []
    for here in run.by_line.get(line, ()):
        text = run.value(here.event.frame, name, here.at)
        try:
            found.append(f"{text}; {type(parse_literal(text or '')).__name__}")
        except LiteralError:
            return None
    return tuple(dict.fromkeys(found))


def _next_labels(run: Replay, line: int) -> tuple[str, ...]:
    """Returns the label of the line executed after each execution of a line."""
    found = []
    for here in run.by_line.get(line, ()):
        later = (event for event in run.events[here.at + 1 :] if event.kind in ("call", "line"))
        event = next(later, None)
        found.append(END if event is None else f"L{event.line + FIRST_LABEL - 1}")
    return tuple(dict.fromkeys(found))


# ==== Scoring


def is_right(question: RunQuestion, answer: str) -> bool:
    """Returns whether a stated answer (the text between the tags) is one of the right ones."""
    answer = answer.strip()
    if len(answer) > _MOST_ANSWER:
        return False
    judge = {"coverage": _same_word, "state": _same_state, "path": _same_label}.get(
        question.task, _same_literal
    )
    return any(judge(answer, right) for right in question.answers)


def _same_word(answer: str, right: str) -> bool:
    return answer.rstrip(".").upper() == right


def _same_state(answer: str, right: str) -> bool:
    if right == NIL or answer.upper() in _NIL_SPELLINGS:
        return right == NIL and answer.upper() in _NIL_SPELLINGS
    value, separator, kind = answer.rpartition(";")
    right_value, _, right_kind = right.rpartition(";")
    kind = kind.strip().lower().removeprefix("<class '").removesuffix("'>").partition("[")[0]
    kind = _TYPE_NAMES.get(kind, kind)
    is_same_type = kind == right_kind.strip().lower()
    return bool(separator) and is_same_type and _same_literal(value, right_value)


def _same_label(answer: str, right: str) -> bool:
    if right in (NIL, END):
        return answer.rstrip(".").upper() in {NIL: _NIL_SPELLINGS, END: (END, "-1")}[right]
    found = _LABEL.fullmatch(answer.rstrip("."))
    return found is not None and f"L{found[1]}" == right


def _same_literal(answer: str, right: str) -> bool:
    try:
        return same_value(parse_literal(answer.strip()), parse_literal(right.strip()))
    except LiteralError:
        return False


def incremental_consistency(results: Sequence[bool]) -> float:
    """Scores a group of answers, in the order of TASKS, as REval's `Consistency` does.

    1 if all four are right, 1/2, 1/4 or 1/8 if only the first three, two or one are; 0 otherwise:
    whoever is right about a later question without an earlier one did not reason from it.
    """
    if len(results) != len(TASKS):
        raise ValueError(f"expected {len(TASKS)} results, got {len(results)}")
    right = results.index(False) if False in results else len(TASKS)
    if any(results[right:]) or not right:
        return 0.0
    return 0.5 ** (len(TASKS) - right)
