"""Defines the records of a trace. All are frozen; values are text (see `rendering`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception: type name, message, and the program's line it left from (None: outside it)."""

    type: str
    message: str
    line: int | None

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a run, in order of execution.

    kind:
        "call"       a frame starts; `changed` holds its arguments
        "line"       a line ran; `changed`/`gone` hold its effect on the frame's locals. The event
                     stands at the line's start, before the events of nested calls
        "step"       one turn of a comprehension on that line; `changed` holds its variables
        "yield"      a generator yields `value` and is suspended
        "resume"     it continues; `changed` holds locals that other code changed meanwhile
        "return"     the frame ends with `value`
        "exception"  `raised` is raised in, or propagates into, the frame at this line
        "unwind"     the frame ends by that exception
    line:      1-based line of the program
    function:  qualified name
    frame:     number of the frame, 0 first, one per activation (a generator keeps its own)
    depth:     nesting of active frames, 0 outermost
    changed:   name -> text of its value after the event, new or altered names only
    gone:      names that the event deleted
    branch:    on a header line (if, elif, while, for, case, except): whether its body was entered;
               None on other lines and after an exception in the header
    iteration: on a loop's header line that enters the body, and on "step": number of the turn,
               from 1
    part:      which of the statements, clauses and lambda bodies on that line this is, 0 the first
               (see `parts`); a statement or header over several lines is one event, on its first
    """

    kind: str
    line: int
    function: str
    frame: int
    depth: int
    changed: Mapping[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    value: str | None = None
    raised: Raised | None = None
    branch: bool | None = None
    iteration: int | None = None
    part: int = 0


@dataclass(frozen=True, slots=True)
class Loop:
    """One execution of a loop, from its entry to its exit. iterations: times the body began.

    kind: "for", "while" or "comprehension". frame: number of the frame it ran in.
    """

    line: int
    kind: str
    function: str
    frame: int
    iterations: int


@dataclass(frozen=True, slots=True)
class Trace:
    """A traced call.

    result:    text of the returned value, None if the call raised
    raised:    the exception that left the call, None if it returned; both are None if the run was
               ended because its recording was full (`TraceLimits.ends_run`)
    loops:     in order of their first turn's header
    truncated: None, or why the events stop before the run did; the outcome is still that of the run
    clipped:   number of value texts that were cut (they end in "…⟨+N characters⟩", or in
               "…⟨+N characters at least⟩" if the whole was not written; in a program with cycles
               or buffers a change past the cut may be missing)
    """

    program: str
    call: str
    events: tuple[Event, ...]
    loops: tuple[Loop, ...]
    result: str | None
    raised: Raised | None
    truncated: str | None = None
    clipped: int = 0
