"""Calls small trusted programs in plain Python, as an oracle of what other inputs give."""

import itertools
import sys
from collections.abc import Callable

MOST_LINES = 5000


def outcomes_of(program: str) -> Callable[[str], str]:
    """Returns a function from a call such as "f(3)" to its value as text, or to how it ends.

    A call is ended after MOST_LINES lines.
    """
    space: dict = {}
    exec(program, space)

    def run_call(call: str) -> str:
        left = itertools.repeat(None, MOST_LINES)

        def count(frame, kind, argument):
            if next(left, count) is count:
                raise TimeoutError
            return count

        before = sys.gettrace()
        sys.settrace(count)
        try:
            return repr(eval(call, space))
        except TimeoutError:
            return "does not end"
        except Exception as error:
            return f"raises {type(error).__name__}: {error}"
        finally:
            sys.settrace(before)

    return run_call
