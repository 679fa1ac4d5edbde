"""Asks a teacher about the run of the prompt's own example."""

from data_pipeline.teacher.prompts import BACKWARD_EXAMPLE, FORWARD_EXAMPLE
from data_pipeline.teacher.teacher import TeacherQuestion
from data_pipeline.tracing import trace_call

PROGRAM, CALL, FORWARD = FORWARD_EXAMPLE
BACKWARD = BACKWARD_EXAMPLE[2]


def ask_forward(program: str = PROGRAM, call: str = CALL) -> TeacherQuestion:
    trace = trace_call(program, call)
    return TeacherQuestion("fwd_mnl", program, "f", call, trace.result, trace)


def ask_backward() -> TeacherQuestion:
    trace = trace_call(PROGRAM, "f(['abc', 'wxyz'], 2)")  # another witness than the example's
    return TeacherQuestion("bwd_mnl", PROGRAM, "f", trace.call, trace.result, trace)
