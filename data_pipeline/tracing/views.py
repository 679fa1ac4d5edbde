"""Formats a trace: upstream's inlined form, a compact table, or colours for a terminal.

Standard library only.
"""

import ast
import json
from collections import defaultdict
from collections.abc import Sequence

from data_pipeline.tracing.events import Event, Trace

# ---- upstream's inlined form


def inline_trace(trace: Trace, frame: int = 0) -> str:
    """Writes the events of one frame as comments into the program (SemCoder, construct_trace.py).

    Adds `[INPUT] {...} [/INPUT]` to the line of the def, `[STATE-k] {...} [/STATE-k]` to each line
    that changed a local (k counts such steps over the whole frame; of more than three states on a
    line, only the first two and the last stay), `[OUTPUT] ... [/OUTPUT]` to the line that returned,
    and `[EXCEPTION] ... [/EXCEPTION]` to lines that raised. Unlike upstream, keeps quotes inside
    values, and puts the output after the last state of its line, not the first.
    """
    comments: dict[int, list[str]] = defaultdict(list)
    states: dict[int, list[str]] = defaultdict(list)
    endings: dict[int, list[str]] = defaultdict(list)
    order = 0
    for event in trace.events:
        if event.frame != frame:
            continue
        if event.kind == "call":
            comments[event.line].append(f" # [INPUT] {json_object(event.changed)} [/INPUT]")
        elif event.kind in ("line", "resume") and event.changed:
            text = json_object(event.changed)
            states[event.line].append(f"[STATE-{order}] {text} [/STATE-{order}]")
            order += 1
        elif event.kind == "return" and event.value is not None:
            endings[event.line] = [f"[OUTPUT] {_output(event.value)} [/OUTPUT]"]
        elif event.kind == "exception":
            comments[-event.line].append(f" # [EXCEPTION] {event.raised} [/EXCEPTION]")
    lines = []
    for number, line in enumerate(trace.program.split("\n"), 1):
        kept = states[number]
        if len(kept) > 3:
            kept = [*kept[:2], " ... ", kept[-1]]
        comment = "".join([*kept, *endings[number]])
        parts = [line, *comments[number], f" # {comment}" if comment else "", *comments[-number]]
        lines.append("".join(parts))
    return "\n".join(lines)


def json_object(values: object) -> str:
    """Writes variables, name -> text of the value, as the JSON of a state."""
    return json.dumps({name: _upstream_value(text) for name, text in dict(values).items()})  # type: ignore[call-overload]


def _upstream_value(text: str) -> object:
    """Returns the value if upstream writes it as JSON, else its text.

    Upstream does so for numbers, strings, None, bools and lists of numbers, strings and lists.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    if value is None or type(value) in (bool, str, int):
        return value
    if type(value) is float and value == value and abs(value) != float("inf"):
        return value
    if type(value) is list and _is_json_list(value):
        return value
    return {} if value == {} and type(value) is dict else text


def _is_json_list(values: list[object]) -> bool:
    return all(
        type(item) in (int, float, str) or (type(item) is list and _is_json_list(item))
        for item in values
    )


def _output(text: str) -> str:
    value = _upstream_value(text)
    if value is None or type(value) is bool or value is text:
        return text
    return json.dumps(value)


# ---- table


def format_table(trace: Trace, width: int = 100) -> str:
    """Formats one row a step: number, line, source indented by depth, effect. Does not cut text."""
    source = trace.program.split("\n")
    rows = [("step", "line", "source", "effect")]
    for number, event in enumerate(trace.events):
        code = source[event.line - 1].strip() if 0 < event.line <= len(source) else ""
        shown = code if event.kind in ("line", "step") else f"({event.kind} {event.function})"
        indent = "  " * event.depth
        rows.append((str(number), str(event.line), indent + shown, _effect(event)))
    code_width = min(max(len(row[2]) for row in rows), width // 2)
    lines = [f"{row[0]:>5} {row[1]:>5}  {row[2]:<{code_width}}  {row[3]}".rstrip() for row in rows]
    lines.extend(_endings(trace))
    return "\n".join(lines)


def _effect(event: Event) -> str:
    parts = [f"{name} = {value}" for name, value in event.changed.items()]
    parts += [f"del {name}" for name in event.gone]
    if event.value is not None:
        parts.append(f"→ {event.value}")
    if event.raised is not None:
        parts.append(f"raises {event.raised}")
    if event.branch is not None:
        entered = "enters" if event.branch else "passes by"
        parts.append(entered + (f" #{event.iteration}" if event.iteration else ""))
    elif event.iteration is not None:
        parts.append(f"#{event.iteration}")
    return ", ".join(parts)


def _endings(trace: Trace) -> list[str]:
    lines = []
    if trace.truncated:
        lines.append(f"… steps are missing from here: {trace.truncated}")
    if trace.raised is not None:
        where = f" (line {trace.raised.line})" if trace.raised.line else ""
        lines.append(f"{trace.call} raises {trace.raised}{where}")
    else:
        lines.append(f"{trace.call} → {trace.result}")
    return lines


# ---- terminal

_STYLES = {
    "dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "blue": "34",
    "magenta": "35", "cyan": "36",
}  # fmt: skip


def format_terminal(trace: Trace, *, colour: bool = True, width: int = 100, most: int = 400) -> str:
    """Formats source lines in order of execution, indented by call, with the changes beside them.

    Replaces steps in the middle past `most` by a note of how many are missing.
    """

    def paint(text: str, *styles: str) -> str:
        if not colour or not text:
            return text
        return f"\x1b[{';'.join(_STYLES[style] for style in styles)}m{text}\x1b[0m"

    source = trace.program.split("\n")
    gutter = len(str(len(source)))
    column = min(max((len(line) for line in source), default=0) + 2, width // 2)
    head = most * 3 // 4
    rows = []
    for number, event in enumerate(trace.events):
        if number == head and len(trace.events) > most:
            rows.append(paint(f"… {len(trace.events) - most} steps left out …", "dim"))
        if head <= number < len(trace.events) - (most - head) and len(trace.events) > most:
            continue
        rows.append(_terminal_row(event, source, gutter, column, paint))
    loops = [
        f"line {loop.line}: {loop.kind} loop, {loop.iterations} "
        f"{'turn' if loop.iterations == 1 else 'turns'} in {loop.function}"
        for loop in trace.loops[:20]
    ]
    rows.extend(paint(text, "dim") for text in loops)
    if len(trace.loops) > 20:
        rows.append(paint(f"… {len(trace.loops) - 20} more loops", "dim"))
    style = "red" if trace.raised is not None else "green"
    *notes, ending = _endings(trace)
    return "\n".join(
        [*rows, *(paint(note, "yellow") for note in notes), paint(ending, "bold", style)]
    )


def _terminal_row(
    event: Event, source: Sequence[str], gutter: int, column: int, paint: object
) -> str:
    assert callable(paint)
    bars = paint("│ " * event.depth, "dim")
    number = paint(f"{event.line:>{gutter}}", "dim")
    effects = [
        f"{paint(name, 'cyan')} = {paint(value, 'yellow')}" for name, value in event.changed.items()
    ]
    effects += [paint(f"del {name}", "dim") for name in event.gone]
    changes = paint(", ", "dim").join(effects)
    if event.kind == "call":
        return f"{number} {bars}{paint('▶ ' + event.function, 'bold', 'blue')}({changes})"
    if event.kind in ("return", "yield"):
        arrow = "◀ return" if event.kind == "return" else "◁ yield"
        value = paint(event.value or "", "yellow")
        return f"{number} {bars}{paint(arrow, 'blue')} {value}"
    if event.kind == "resume":
        return f"{number} {bars}{paint('▷ resume ' + event.function, 'blue')} {changes}".rstrip()
    if event.kind == "exception":
        return f"{number} {bars}{paint(f'✗ {event.raised}', 'red')}"
    if event.kind == "unwind":
        return f"{number} {bars}{paint(f'✗ leaves {event.function}', 'red')}"
    code = source[event.line - 1].rstrip() if 0 < event.line <= len(source) else ""
    if event.kind == "step":
        code = " " * (len(code) - len(code.lstrip())) + f"… turn {event.iteration}"
    mark = ""
    if event.branch is not None:
        mark = paint("✓", "green") if event.branch else paint("✗", "magenta")
        mark += paint(f" #{event.iteration}", "dim") if event.iteration else ""
    notes = " ".join(part for part in (mark, changes) if part)
    return f"{number} {bars}{code:<{column}} {notes}".rstrip()
