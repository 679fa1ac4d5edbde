"""Tests the frame of all commands: one line and an exit code for each way that a command ends."""

import os
import signal
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


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("when", ["in the command", "in a callback", "in C code"])
def test_a_signal_ends_a_command_in_one_line(name, status, when):
    """Ends of objects and C code swallow what a handler raises; a file being written goes."""
    script = (
        "import os, signal, sys, tempfile, time\n"
        "from data_pipeline.files import open_atomically\n"
        "from data_pipeline.terminal.command_line import end_process, run_command\n"
        "class Ends:\n"
        "    def __del__(self):\n"
        f"        os.kill(os.getpid(), signal.{name})\n"
        "        for _ in range(1000):\n"
        "            pass\n"
        "def work(arguments):\n"
        f"    if {when!r} == 'in a callback':\n"
        "        Ends()\n"
        f"    elif {when!r} == 'in the command':\n"
        f"        os.kill(os.getpid(), signal.{name})\n"
        "    else:\n"
        f"        sorted([3, 1], key=lambda _: os.kill(os.getpid(), signal.{name}))\n"
        "    time.sleep(60)\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    def write(arguments):\n"
        "        with open_atomically(folder + '/out'):\n"
        "            work(arguments)\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    status = run_command(write, [])\n"
        "    print(os.listdir(folder))\n"
        "end_process(status)\n"
    )
    assert ended(script) == (status, "[]\n", "\nstopped\n")


def test_a_forked_process_ends_at_sigterm_without_a_word():
    script = (
        "import os, signal, sys, time\n"
        "from data_pipeline.terminal.command_line import end_process, run_command\n"
        "def work(arguments):\n"
        "    ready, tell = os.pipe()\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        os.write(tell, b'.')\n"
        "        time.sleep(60)\n"
        "    os.read(ready, 1)\n"
        "    os.kill(child, signal.SIGTERM)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "end_process(run_command(work, []))\n"
    )
    assert ended(script) == (0, f"{-signal.SIGTERM}\n", "")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_a_command_is_imported_is_one_line(tmp_path, number, status):
    """The package's own import is stopped at its first foreign one."""
    (tmp_path / "tqdm.py").write_text("import time\nprint('imports', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "data_pipeline.questions"],
        cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": str(tmp_path)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stdout.readline() == "imports\n"
    process.send_signal(number)
    assert process.communicate(timeout=30)[1] == "\nstopped\n"
    assert process.returncode == status


def test_importing_the_package_sets_no_handlers():
    script = (
        "import signal\n"
        "before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)\n"
        "import data_pipeline\n"
        "print(before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)))\n"
    )
    assert ended(script) == (0, "True\n", "")


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
