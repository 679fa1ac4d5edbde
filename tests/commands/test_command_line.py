"""Tests the frame of all commands: one line and an exit code for each way that a command ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from data_pipeline.errors import UserError
from data_pipeline.terminal.command_line import CommandLineError, CommandParser, run_command

REPOSITORY = Path(__file__).parents[2]


def failing(error):
    def command(arguments):
        raise error

    return command


def test_the_exit_code_is_the_commands_own():
    assert run_command(lambda arguments: None, ["a"]) == 0
    assert run_command(len, ["a", "b", "c"]) == 3


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("no such\n  thing"), "error: no such thing\n"),
        (FileNotFoundError(2, "No such file", "x.py"), "error: x.py: No such file\n"),
    ],
)
def test_a_mistake_is_one_line(error, line, capsys):
    assert run_command(failing(error), []) == 2
    assert capsys.readouterr().err == line


def test_a_failure_that_no_user_can_mend_stays_whole():
    for error in (ValueError("ours"), OSError("a library's")):
        with pytest.raises(type(error)):
            run_command(failing(error), [])


def test_ctrl_c_says_how_to_go_on(capsys):
    assert run_command(failing(KeyboardInterrupt()), [], stopped="goes on") == 130
    assert capsys.readouterr().err == "\ngoes on\n"


def test_help_wins_over_everything(capsys):
    assert run_command(failing(UserError("x")), ["--nonsense", "-h"], help_text="Help.") == 0
    assert capsys.readouterr().out == "Help.\n"


def test_the_parser_takes_no_abbreviations():
    parser = CommandParser(prog="x")
    parser.add_argument("--output")
    with pytest.raises(CommandLineError, match="--out"):
        parser.parse_args(["--out=here"])


@pytest.mark.parametrize(
    "call",
    [
        "lambda _: [print('x' * 1000) for _ in range(10_000)] and None, []",
        "None, ['--help'], help_text='x' * 10_000_000",
    ],
    ids=["output", "help"],
)
def test_a_reader_that_went_away_is_no_error(call):
    program = (
        "import sys\n"
        "from data_pipeline.terminal.command_line import run_command\n"
        f"sys.exit(run_command({call}))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.read(10)
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (141, b"")


def ended(script: str) -> tuple[int, str, str]:
    """The exit status of a script in a process of its own, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, timeout=30
    )
    return done.returncode, done.stdout, done.stderr


def test_a_ctrl_c_that_a_callback_swallows_still_stops():
    """Python only reports what an object's end raises: without help the command would go on."""
    script = (
        "import os, signal, sys, time\n"
        "from data_pipeline.terminal.command_line import end_process, run_command\n"
        "class Ends:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        for _ in range(1000):\n"
        "            pass\n"
        "def work(arguments):\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    Ends()\n"
        "    print('goes on', flush=True)\n"
        "    time.sleep(60)\n"
        "end_process(run_command(work, []))\n"
    )
    assert ended(script) == (130, "goes on\n", "\nstopped\n")


@pytest.mark.parametrize("then", ["raise ImportError('C code failed')", "time.sleep(60)"])
def test_a_ctrl_c_that_c_code_prints_still_stops(then):
    """PyErr_Print calls sys.excepthook; numpy's import does so and raises an ImportError."""
    script = (
        "import signal, sys, time\n"
        "from data_pipeline.terminal.command_line import end_process, run_command\n"
        "def work(arguments):\n"
        "    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)\n"
        f"    {then}\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "end_process(run_command(work, []))\n"
    )
    assert ended(script) == (130, "", "\nstopped\n")


def test_a_ctrl_c_waits_until_an_extension_is_initialized():
    """C code that initializes one, here asks for its name, may crash if it is interrupted."""
    script = (
        "import contextlib, importlib.machinery, os, signal, time\n"
        "from data_pipeline.terminal.command_line import end_process, run_command\n"
        "class Spec:\n"
        "    @property\n"
        "    def name(self):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        for _ in range(1000):\n"
        "            pass\n"
        "        print('whole', flush=True)\n"
        "        raise ImportError('no such extension')\n"
        "def work(arguments):\n"
        "    loader = importlib.machinery.ExtensionFileLoader('none', 'none')\n"
        "    with contextlib.suppress(ImportError):\n"
        "        loader.create_module(Spec())\n"
        "    time.sleep(60)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "end_process(run_command(work, []))\n"
    )
    assert ended(script) == (130, "whole\n", "\nstopped\n")


def test_an_interrupted_process_runs_its_exit_handlers():
    script = (
        "import atexit\n"
        "from data_pipeline.terminal.command_line import end_process\n"
        "atexit.register(print, 'cleared up')\n"
        "end_process({status})\n"
    )
    for status in (130, 0, 2):
        done = subprocess.run(
            [sys.executable, "-c", script.format(status=status)],
            cwd=REPOSITORY, capture_output=True, text=True,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (status, "cleared up\n")
