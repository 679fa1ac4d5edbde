"""Compares views of a trace with texts written by hand, and tests the command that prints them."""

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from data_pipeline.execution.service import Sandbox, SandboxUnavailable
from data_pipeline.tracing.views import format_table, format_terminal, inline_trace
from tests.support.golden_events import trace_source

REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
    def f(xs):
        total = 0
        for x in xs:
            if x > 1:
                total += x
        return [total, None]
    """


def text(written: str) -> str:
    return dedent(written).strip("\n") + "\n"


def test_inlined_form_is_upstreams():
    """In SemCoder's construct_trace.py, k numbers the steps that changed something; all states of a
    line stay if it has at most three."""
    assert inline_trace(trace_source(PROGRAM, "f([1, 2, 3])")) == text(
        """
        def f(xs): # [INPUT] {"xs": [1, 2, 3]} [/INPUT]
            total = 0 # [STATE-0] {"total": 0} [/STATE-0]
            for x in xs: # [STATE-1] {"x": 1} [/STATE-1][STATE-2] {"x": 2} [/STATE-2][STATE-4] {"x": 3} [/STATE-4]
                if x > 1:
                    total += x # [STATE-3] {"total": 2} [/STATE-3][STATE-5] {"total": 5} [/STATE-5]
            return [total, None] # [OUTPUT] [5, None] [/OUTPUT]
        """  # noqa: E501
    )


def test_inlined_form_keeps_the_first_two_states_and_the_last():
    assert inline_trace(trace_source(PROGRAM, "f([1, 0, 1, 0, 1])")).split("\n")[2] == (
        '    for x in xs: # [STATE-1] {"x": 1} [/STATE-1][STATE-2] {"x": 0} [/STATE-2]'
        ' ... [STATE-5] {"x": 1} [/STATE-5]'
    )


def test_inlined_form_of_exceptions_and_values():
    trace = trace_source(
        """
        def f(a, b):
            t = (1, 'two')
            d = {'k': "it's"}
            s = 'text'
            return g(d)
        def g(d):
            return d['missing']
        """,
        "f(None, b=True)",
    )
    assert inline_trace(trace) == text(
        """
        def f(a, b): # [INPUT] {"a": null, "b": true} [/INPUT]
            t = (1, 'two') # [STATE-0] {"t": "(1, 'two')"} [/STATE-0]
            d = {'k': "it's"} # [STATE-1] {"d": "{'k': \\"it's\\"}"} [/STATE-1]
            s = 'text' # [STATE-2] {"s": "text"} [/STATE-2]
            return g(d) # [EXCEPTION] KeyError: 'missing' [/EXCEPTION]
        def g(d):
            return d['missing']
        """
    )
    assert inline_trace(trace, frame=1).split("\n")[5] == (
        """def g(d): # [INPUT] {"d": "{'k': \\"it's\\"}"} [/INPUT]"""
    )


def test_inlined_output_is_quoted_as_upstream_does():
    for expression, shown in (("'a'", '"a"'), ("3", "3"), ("True", "True"), ("None", "None"),
                              ("(1, 2)", "(1, 2)"), ("['x']", '["x"]'), ("{'a': 1}", "{'a': 1}"),
                              ("0.5", "0.5")):  # fmt: skip
        trace = trace_source(f"def f():\n    return {expression}\n", "f()")
        assert inline_trace(trace).split("\n")[1].endswith(f"# [OUTPUT] {shown} [/OUTPUT]")


def test_inlined_comments_leave_the_program_as_it_is():
    trace = trace_source(PROGRAM, "f([5])")
    bare = [
        re.sub(r" # \[(INPUT|STATE|OUTPUT).*", "", line) for line in inline_trace(trace).split("\n")
    ]
    assert "\n".join(bare) == trace.program


def test_table_is_aligned_and_complete():
    trace = trace_source(PROGRAM, "f([1, 2])")
    lines = format_table(trace).split("\n")
    assert len(lines) == len(trace.events) + 2
    assert lines[0].split() == ["step", "line", "source", "effect"]
    column = lines[0].index("effect")
    assert lines[2].startswith("    1     2  total = 0")
    assert lines[2][column:] == "total = 0"
    assert lines[3][column:] == "x = 1, enters #1"
    assert lines[4][column:] == "passes by"
    assert lines[-1] == "f([1, 2]) → [2, None]"


def test_terminal_view():
    trace = trace_source(PROGRAM, "f([2])")
    plain = format_terminal(trace, colour=False)
    assert "\x1b" not in plain
    coloured = format_terminal(trace, colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain and coloured != plain
    for line in trace.program.split("\n")[1:]:
        assert line in plain
    assert "total = 2" in plain and plain.endswith("f([2]) → [2, None]")
    short = format_terminal(trace_source(PROGRAM, f"f({[1] * 500})"), colour=False, most=40)
    assert re.search(r"… \d+ steps left out …", short) and len(short.split("\n")) < 60
    cut = format_terminal(trace_source(PROGRAM, "f([1, 2, 3])", max_lines=4), colour=False)
    assert "steps are missing" in cut
    wrong = format_terminal(trace_source("def f(x):\n    return 1 / x\n", "f(0)"), colour=False)
    assert wrong.endswith("f(0) raises ZeroDivisionError: division by zero (line 2)")


# ---- the command


def command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "data_pipeline.tracing", *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(dedent(PROGRAM).strip("\n") + "\n")
    return str(path)


def test_command_in_the_sandbox(file):
    try:
        Sandbox(workers=1).close()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    done = command(file, "f([1, 2])")
    assert done.returncode == 0, done.stderr
    trusted = command(file, "f([1, 2])", "--trusted")
    assert done.stdout == trusted.stdout
    assert done.stdout.strip() == format_terminal(trace_source(PROGRAM, "f([1, 2])"), colour=False)


def test_command_views_and_errors(file, tmp_path):
    assert "[INPUT]" in command(file, "f([1])", "--trusted", "--view=inlined").stdout
    assert "effect" in command(file, "f([1])", "--trusted", "--view=table").stdout
    assert "\x1b[" in command(file, "f([1])", "--trusted", "--colour=always").stdout
    endless = tmp_path / "endless.py"
    endless.write_text("def f(n):\n    while n:\n        n += 1\n")
    stopped = command(str(endless), "f(1)", "--trusted")
    assert stopped.returncode == 2 and stopped.stdout == ""
    assert stopped.stderr in (
        f"error: the run was stopped: {one} limit\n" for one in ("cpu", "wall")
    )
    failing = command(file, "f(3)", "--trusted")
    assert failing.returncode == 1 and "TypeError" in failing.stdout
    broken = tmp_path / "broken.py"
    broken.write_text("x = 1\ndef f(:\n")
    for arguments, told in (
        ([file, "f("], "not a Python expression"),
        ([file, "g(1)"], "defines no 'g'"),
        ([file, "f(1, 2)"], "does not fit"),
        ([file, "f(y)"], "not a literal"),
        ([str(broken), "f(1)"], "line 2"),
        ([str(tmp_path / "none.py"), "f(1)"], "none.py"),
    ):
        done = command(*arguments, "--trusted")
        assert done.returncode == 2 and done.stdout == ""
        assert done.stderr.startswith("error: ") and told in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (
            "from . import near\ndef f(x):\n    return x\n",
            "no trace: line 1 raises ImportError: attempted relative import with no known parent "
            "package; a program is run by itself, outside its package",
        ),
        (
            "import no_such_module\ndef f(x):\n    return x\n",
            "no trace: line 1 raises ModuleNotFoundError: No module named 'no_such_module'",
        ),
        (
            "for i in (1, 0):\n    x = 1 // i\n",
            "no trace: line 2 raises ZeroDivisionError: integer division or modulo by zero",
        ),
        ("import sys\nsys.exit('a\\nb')\n", "no trace: line 2 raises SystemExit: a b"),
        ("def g(x):\n    return x\n", "the program defines no 'f'"),
        ("while True:\n    pass\n", "the run was stopped: cpu limit"),
        (
            f"x = {'-' * 50_000}1\ndef f(x):\n    return x\n",
            "the program cannot be parsed: its code is nested too deeply",
        ),
    ],
)
def test_a_program_that_does_not_reach_the_call_is_told_in_one_line(
    program, expected, tmp_path, capsys
):
    from data_pipeline.commands.trace import main

    path = tmp_path / "program.py"
    path.write_text(program)
    for place in ([], ["--trusted"]):
        status = main([str(path), "f(3)", *place])
        told = capsys.readouterr()
        if "--trusted" in told.err:
            pytest.skip(told.err)  # no sandbox here
        assert (status, told.out, told.err) == (2, "", f"error: {expected}\n")


@pytest.mark.parametrize(
    ("raises", "told"),
    [
        ("sys.exit('bye')", "SystemExit: bye"),
        ("raise GeneratorExit(3)", "GeneratorExit: 3"),
        ("raise Own(4)", "Own: 4"),  # no Exception
    ],
)
def test_a_call_that_ends_the_process_is_shown(raises, told, tmp_path, capsys):
    from data_pipeline.commands.trace import main

    path = tmp_path / "program.py"
    path.write_text(
        f"import sys\nclass Own(BaseException):\n    pass\ndef f(x):\n    x += 1\n    {raises}\n"
    )
    for place in ([], ["--trusted"]):
        status = main([str(path), "f(3)", "--view=table", *place])
        shown = capsys.readouterr()
        if "--trusted" in shown.err:
            pytest.skip(shown.err)  # no sandbox here
        assert status == 1 and shown.out.endswith(f"f(3) raises {told} (line 6)\n")
        assert "x = 4" in shown.out


def test_a_program_in_another_encoding_is_traced(tmp_path, capsys):
    from data_pipeline.commands.trace import main

    path = tmp_path / "program.py"
    path.write_bytes("# coding: latin-1\ndef f(x):\n    return x + 'é'\n".encode("latin-1"))
    assert main([str(path), "f('a')", "--trusted"]) == 0
    assert "f('a') → 'aé'" in capsys.readouterr().out
