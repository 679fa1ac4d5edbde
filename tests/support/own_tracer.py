"""A tracer of ten lines, independent of the recorder."""

import itertools
import sys


def own_states(program, call):
    """Returns [(line, locals before, locals after)] of the executed lines, and the result."""
    scope, seen = {}, []
    exec(compile(program, "<own>", "exec"), scope)

    def watch(frame, event, _):
        if frame.f_code.co_filename != "<own>":
            return None
        seen.append((event, frame.f_lineno, dict(frame.f_locals)))
        return watch

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        result = eval(call, scope)
    finally:
        sys.settrace(before)
    lines = [
        (line, old, following[2])
        for (event, line, old), following in itertools.pairwise(seen)
        if event == "line"
    ]
    return lines, result
