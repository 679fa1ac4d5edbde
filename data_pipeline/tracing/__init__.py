"""Tracing: every executed line of a call with the locals it changed.

`trace_call` runs a program in this process: for programs that are trusted (our own generators).
Untrusted programs are traced inside the sandbox by `data_pipeline.execution`, with the same code.
Standard library only.
"""

from data_pipeline.tracing.events import Event, Loop, Raised, Trace
from data_pipeline.tracing.runs import trace_call

__all__ = ["Event", "Loop", "Raised", "Trace", "trace_call"]
