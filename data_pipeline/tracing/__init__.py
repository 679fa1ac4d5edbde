"""Traces calls: every executed line with the locals that it changed.

`trace_call` runs a program in this process: use it only for trusted programs (our generators).
`data_pipeline.execution` traces untrusted programs inside the sandbox, with the same code.
Standard library only.
"""

from data_pipeline.tracing.events import Event, Loop, Raised, Trace
from data_pipeline.tracing.runs import trace_call

__all__ = ["Event", "Loop", "Raised", "Trace", "trace_call"]
