"""Indexes a trace's raw events for proofs: states, windows of lines, frames and loops.

Written apart from `tracing.replay`, which narrators read, so that a fault there shows here.
"""

import ast
import bisect
import functools
from collections.abc import Iterator, Sequence

from data_pipeline.claims.program_index import FUNCTIONS, index_program
from data_pipeline.tracing import Event, Trace

LOOPS = (ast.For, ast.AsyncFor, ast.While)
_HEADERS = (ast.If, *LOOPS, ast.With, ast.AsyncWith, ast.Try, ast.Match, *FUNCTIONS, ast.ClassDef)


class Record:
    """The events of one run by frame, and the program's statements by line."""

    def __init__(self, trace: Trace):
        self.trace = trace
        self.events: Sequence[Event] = trace.events
        self.program = index_program(trace.program)
        self.tree, self.nodes = self.program.tree, self.program.nodes
        self.at_line = self.program.at_line
        self.definitions, self.functions = self.program.definitions, self.program.functions
        self.parents = self.program.parents
        self.of_frame: dict[int, list[int]] = {}
        self.frames: dict[int, tuple[int, int]] = {}
        for at, event in enumerate(self.events):
            self.of_frame.setdefault(event.frame, []).append(at)
            self.frames[event.frame] = (self.frames.get(event.frame, (at, at))[0], at)

    # ---- states

    @functools.cached_property
    def _histories(self) -> dict[tuple[int, str], tuple[list[int], list[str | None]]]:
        found: dict[tuple[int, str], tuple[list[int], list[str | None]]] = {}
        for at, event in enumerate(self.events):
            if event.kind == "step":
                continue
            for name in event.gone:
                places, texts = found.setdefault((event.frame, name), ([], []))
                places.append(at)
                texts.append(None)
            for name, text in event.changed.items():
                places, texts = found.setdefault((event.frame, name), ([], []))
                places.append(at)
                texts.append(text)
        return found

    def value(self, frame: int, name: str, at: int) -> str | None:
        """Returns the text of a frame's variable after event `at`."""
        places, texts = self._histories.get((frame, name), ((), ()))
        place = bisect.bisect_right(places, at)
        return texts[place - 1] if place else None

    def state(self, frame: int, at: int, extra: dict[str, str] | None = None) -> "State":
        return State(self, frame, at, extra or {})

    # ---- lines

    def statement(self, at: int) -> ast.stmt | None:
        """Returns the statement that runs at a "line" event; None if the line does not tell."""
        event = self.events[at]
        found = self.at_line.get(event.line, [])
        if len(found) > 1 and any(isinstance(n, ast.Lambda) and n.lineno == event.line
                                  for n in self.nodes):  # fmt: skip
            return None  # a lambda's body counts among the parts of the line
        if found:
            return found[event.part] if event.part < len(found) else None
        return self._around(event.line)

    def _around(self, line: int) -> ast.stmt | None:
        """Returns the statement that a continuation line belongs to."""
        for start in range(line, 0, -1):
            for node in self.at_line.get(start, []):
                if line <= last_header_line(node):
                    return node
        return None

    def window_end(self, at: int) -> int:
        """Returns the index of the first event of the frame after the line that ran at `at`."""
        event = self.events[at]
        statement = self.statement(at)
        first = statement.lineno if statement is not None else event.line
        last = last_header_line(statement) if statement is not None else event.line
        own = self.of_frame[event.frame]
        for index in own[bisect.bisect_right(own, at) :]:
            later = self.events[index]
            if later.kind in ("return", "unwind"):
                return index
            if later.kind != "line":
                continue
            if first == last or later.branch is not None or not first <= later.line <= last:
                return index
        return len(self.events)

    def inside(self, at: int, kind: str) -> Iterator[Event]:
        """Yields the frame's events of a kind in the window of a line, its end included."""
        frame = self.events[at].frame
        for event in self.events[at + 1 : self.window_end(at) + 1]:
            if event.frame == frame and event.kind == kind:
                yield event

    def next_line(self, at: int) -> int | None:
        end = self.window_end(at)
        if end == len(self.events) or self.events[end].kind != "line":
            return None
        return self.events[end].line

    # ---- frames

    def function(self, frame: int) -> ast.AST | None:
        """Returns the definition that a frame runs."""
        call = self.events[self.frames[frame][0]]
        found = self.definitions.get(call.function, [])
        if len(found) == 1:
            return found[0]
        return next((node for node in found if call.line in _first_lines(node)), None)

    def calls_of(self, name: str) -> list[int]:
        return self._calls.get(name, [])

    @functools.cached_property
    def _calls(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for event in self.events:
            if event.kind == "call":
                found.setdefault(event.function.rpartition(".")[2], []).append(event.frame)
        return found

    def frame_result(self, frame: int) -> str | None:
        """Returns what a call gives; None for one that raises, and for a generator's."""
        last = self.events[self.frames[frame][1]]
        function = self.function(frame)
        if function is not None and any(map(_is_yield, ast.walk(function))):
            return None
        return last.value if last.kind == "return" else None

    # ---- loops

    def turns(self, at: int) -> list[list[int]]:
        """Returns the line events of each turn of the loop execution that header event `at` is in.

        The last list holds the header's exit alone, if the loop ended at its header.
        """
        frame, line = self.events[at].frame, self.events[at].line
        header = next((n for n in self.at_line.get(line, []) if isinstance(n, LOOPS)), None)
        if header is None:
            return []
        first, last = header.body[0].lineno, header.body[-1].end_lineno or 0
        runs: list[list[list[int]]] = []
        for index in self.of_frame[frame]:
            event = self.events[index]
            if event.kind != "line":
                continue
            is_header = event.line == line and not event.part
            if is_header and (event.iteration in (1, None) and not _continues(runs, event)):
                runs.append([[index]])
            elif is_header and runs:
                runs[-1].append([index])
            elif runs and first <= event.line <= last:
                runs[-1][-1].append(index)
            elif runs and runs[-1] and not is_header:
                runs.append([])
        return next((run for run in runs if any(at == turn[0] for turn in run)), [])


class State:
    """Looks up a frame's variables after one event, then the constants of the module.

    `run` and `get` are what the evaluator of expressions reads.
    """

    def __init__(self, run: Record, frame: int, at: int, extra: dict[str, str]):
        self.run, self.frame, self.at, self.extra = run, frame, at, extra

    def get(self, name: str) -> str | None:
        text = self.extra.get(name) or self.run.value(self.frame, name, self.at)
        if text is None and (self.frame, name) not in self.run._histories:
            return self.run.program.constants.get(name)
        return text


def _is_yield(node: ast.AST) -> bool:
    return isinstance(node, ast.Yield | ast.YieldFrom | ast.Await)


def last_header_line(node: ast.stmt) -> int:
    """Returns the last line of a statement, without the blocks of a compound one."""
    body = getattr(node, "body", None) or getattr(node, "cases", None)
    if not isinstance(node, _HEADERS) or not body:
        return node.end_lineno or node.lineno
    first = body[0]
    start = first.lineno if hasattr(first, "lineno") else first.pattern.lineno
    header = max(
        (part.end_lineno or 0 for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)),
        default=node.lineno,
    )
    return max(node.lineno, min(start - 1, header))


def _continues(runs: list[list[list[int]]], event: Event) -> bool:
    """Returns whether a header event that begins no turn ends the latest execution of the loop."""
    return event.iteration is None and bool(runs) and bool(runs[-1])


def _first_lines(node: ast.AST) -> set[int]:
    return {node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))}  # type: ignore
