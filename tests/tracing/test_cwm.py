"""Tests the CWM view against frames made by a plain sys.settrace recorder of this file."""

import json
import re
import sys

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.tracing.cwm import cwm_context, cwm_trace

PROGRAMS = {
    "f([3, 1, 2], k=2)": """def f(xs, k=1):
    total = 0
    seen = []
    for x in xs:
        if x > k:
            total += x
            continue
        seen.append(x)
    while k:
        k -= 1
    return total, seen
""",
    "g(3)": """def g(n):
    if n < 2:
        return n
    return g(n - 1) + g(n - 2)
""",
    "h('a\\nb')": """def h(text):
    parts = text.split('\\n')
    first, *rest = parts
    del parts
    return {first: rest}
""",
}


def frames_by_settrace(program, call):
    """Frames as CWM's guide defines them: locals before each line, ".." for unchanged ones."""
    lines, frames = program.split("\n"), []
    header, body = "def main():  # << START_OF_TRACE\n", f"    return {call}\n"
    frames += [("call", {}, header, None), ("line", {}, body, None)]

    def local(shown):
        def record(frame, event, argument):
            line = lines[frame.f_lineno - 1] + "\n"
            if event == "return":
                frames.append(("return", None, line, repr(argument)))
            else:
                state = {name: repr(value) for name, value in frame.f_locals.items()}
                observed = {n: ".." if shown.get(n) == v else v for n, v in state.items()}
                shown.clear()
                shown.update(state)
                frames.append((event, observed, line, None))
            return record

        return record

    def start(frame, event, argument):
        if frame.f_code.co_filename != "<run>":
            return None
        record = local({})
        return record(frame, "call", argument)

    names = {}
    exec(compile(program, "<run>", "exec"), names)
    sys.settrace(start)
    try:
        result = eval(call, names)
    finally:
        sys.settrace(None)
    return [*frames, ("return", None, body, repr(result))]


def read_frames(text):
    ending = r"(?:<\|arg_sep\|>(.*?))?<\|frame_sep\|>"
    pattern = re.compile(r"<\|(\w+)_sep\|>(.*?)<\|action_sep\|>(.*?)" + ending, re.S)
    return [
        (kind, json.loads(seen) if seen else None, line, json.loads(value) if value else None)
        for kind, seen, line, value in pattern.findall(text)
    ]


@pytest.mark.parametrize("call", PROGRAMS)
def test_frames_are_those_of_settrace(call):
    program = PROGRAMS[call]
    text = cwm_trace(trace_call(program, call))
    assert text.endswith("<|frame_sep|><|end_of_text|>")
    assert read_frames(text) == frames_by_settrace(program, call)


def test_the_context_marks_the_entry_point():
    context = cwm_context(trace_call(PROGRAMS["g(3)"], "g(3)"))
    assert context.startswith("<|trace_context_start|>def g(n):") and context.endswith(
        "def main():  # << START_OF_TRACE\n    return g(3)\n<|frame_sep|>"
    )
    source = context.removeprefix("<|trace_context_start|>").removesuffix("<|frame_sep|>")
    names = {}
    exec(source, names)
    assert names["main"]() == 2


def test_a_raise_ends_in_exception_frames():
    program = "def f(x):\n    y = 1\n    return x[y]\n"
    frames = read_frames(cwm_trace(trace_call(program, "f([5])")))
    raised = "IndexError: list index out of range"
    assert frames[-2:] == [
        ("exception", None, "    return x[y]\n", raised),
        ("exception", None, "    return f([5])\n", raised),
    ]


def test_the_command_shows_it(tmp_path, capsys):
    from data_pipeline.commands.trace import main

    path = tmp_path / "program.py"
    path.write_text(PROGRAMS["g(3)"])
    assert main([str(path), "g(2)", "--view=cwm", "--trusted"]) == 0
    shown = capsys.readouterr().out
    assert read_frames(shown.partition("START_OF_TRACE\n    return g(2)\n<|frame_sep|>")[2])
