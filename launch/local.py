"""Rehearses a pod on this machine: the entry point of a pod's workers, on simulated devices.

    semcoder launch local --processes=N --devices=M [FAULTS] [FLAGS] \\
        -- --config=FILE --workdir=DIR [--config.a.b=VALUE]

Starts N processes of launch.worker with M simulated devices each, and starts them again from the
last checkpoint whenever they end before the run does. The same command goes on with a workdir of
any number of processes and devices. The last lines say where the wall time went.

Faults, in the first attempt (--slow: in all); processes count from 0:
  --kill=PROCESS@STEP          the process is killed (SIGKILL) once the step is finished
  --hang=PROCESS@STEP          it waits for ever; --config.train.hang_timeout=SECONDS ends it
  --sigterm=STEP               all processes get SIGTERM, as before a machine is taken away
  --slow=PROCESS@MILLISECONDS  the process waits so long before each step
Flags:
  --attempts=N                 starts in all (3)
  --heartbeat_timeout=SECONDS  after which a process without a sign of life is taken for dead (20)
  --logs=DIR                   folder of process_N.log (WORKDIR-logs; gs/BUCKET/RUN-logs for gs://BUCKET/RUN)

Exit status: 0 trained, 1 not within --attempts, 2 user error, 130 interrupted (all saved, if they
could).
"""

import dataclasses
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from data_pipeline.files import as_path
from data_pipeline.terminal.command_line import (
    INTERRUPTED,
    USER_MISTAKE,
    CommandLineError,
    CommandParser,
    parse_count,
    run_command,
    split_passed_on,
)
from launch.faults import Faults
from launch.process_group import (
    Attempt,
    LoggedProcess,
    ProcessGroup,
    describe_status,
    find_free_port,
    simulated_environment,
)

REPOSITORY = Path(__file__).parents[1]
_NUMBERS = {"processes": None, "devices": None, "attempts": 3, "heartbeat_timeout": 20}
_AT = {"kill": "STEP", "hang": "STEP", "slow": "MILLISECONDS"}
_POLL = 0.05  # seconds
_PATIENCE = 30.0  # seconds beyond the heartbeat's timeout in which survivors must end


@dataclasses.dataclass(frozen=True)
class Rehearsal:
    """A checked command line; `kill`, `hang` and `slow` are (process, step or milliseconds)."""

    processes: int
    devices: int
    attempts: int
    heartbeat_timeout: int
    training: tuple[str, ...]
    workdir: str
    logs: Path
    kill: tuple[int, int] | None = None
    hang: tuple[int, int] | None = None
    slow: tuple[int, int] | None = None
    sigterm: int | None = None

    def faults(self, process: int, attempt: int, reached: Path) -> Faults:
        """Returns the faults of a process; `reached` is created for --sigterm."""
        at = {
            name: pair[1]
            for name in _AT
            if (pair := getattr(self, name)) and pair[0] == process
            and (attempt == 1 or name == "slow")
        }  # fmt: skip
        if self.sigterm and attempt == 1 and process == 0:
            at |= {"reached": self.sigterm, "file": str(reached)}
        return Faults(**at)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The end of an attempt: exit statuses by process, and the last steps that they say to have
    saved."""

    statuses: tuple[int, ...]
    last_steps: tuple[tuple[int, int] | None, ...]  # (step, of how many)
    terminated: bool

    @property
    def is_mistake(self) -> bool:
        return USER_MISTAKE in self.statuses

    @property
    def is_done(self) -> bool:
        return not any(self.statuses) and not (self.terminated and self.is_short)

    @property
    def is_short(self) -> bool:
        """Returns whether a process stopped before the run's end, or does not tell."""
        return any(pair is None or pair[0] < pair[1] for pair in self.last_steps)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; see above."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    asks_help = {"-h", "--help"} & set(split_passed_on(arguments)[0])
    return run_command(_run, ["--help"] if asks_help else arguments, help_text=__doc__)


def _run(arguments: Sequence[str]) -> int:
    rehearsal = parse_arguments(arguments)
    rehearsal.logs.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _interrupt)
    attempts: list[Attempt] = []
    status = 1
    for number in range(1, rehearsal.attempts + 1):
        began = time.time()
        outcome = _attempt(rehearsal, number)
        attempts.append(Attempt(began, time.time()))
        if outcome is None:
            return INTERRUPTED
        if outcome.is_mistake:
            return USER_MISTAKE
        if outcome.is_done:
            status = 0
            break
    _report(rehearsal, attempts)
    return status


def parse_arguments(arguments: Sequence[str]) -> Rehearsal:
    """Returns the checked command line. Raises CommandLineError."""
    own, training = split_passed_on(arguments)
    flags = vars(make_parser().parse_args(own))
    numbers = {name: _number(name, flags[name], least) for name, least in _NUMBERS.items()}
    found = {name: [word for word in training if re.match(rf"--?{name}=", word)]
             for name in ("config", "workdir")}  # fmt: skip
    for name, words in found.items():
        if not words:
            raise CommandLineError(f"after --, --{name}=… is missing")
    workdir = found["workdir"][-1].partition("=")[2]
    at = {name: _pair(name, flags[name], numbers["processes"]) for name in _AT}
    sigterm = None if flags["sigterm"] is None else _number("sigterm", flags["sigterm"], None)
    logs = Path(flags["logs"] or _log_folder(workdir))
    return Rehearsal(
        **numbers, training=tuple(training), workdir=workdir, logs=logs, sigterm=sigterm, **at
    )


def _log_folder(workdir: str) -> str:
    """Returns WORKDIR-logs; for gs://BUCKET/RUN it is gs/BUCKET/RUN-logs in the present folder."""
    return f"{workdir.rstrip('/').replace('://', '/')}-logs"


def make_parser() -> CommandParser:
    parser = CommandParser(prog="semcoder launch local", add_help=False)
    for name in (*_NUMBERS, *_AT, "sigterm", "logs"):
        parser.add_argument(f"--{name}")
    return parser


def _number(name: str, text: str | None, default: int | None) -> int:
    if text is None and default is not None:
        return default
    if text is None:
        raise CommandLineError(f"--{name}=N is missing")
    return parse_count(f"--{name}", text)


def _pair(name: str, text: str | None, processes: int) -> tuple[int, int] | None:
    """Parses PROCESS@NUMBER."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,4})@([1-9]\d{0,6})", text)
    if found is None:
        raise CommandLineError(f"--{name} is {text!r}, expected PROCESS@{_AT[name]}, as in 1@20")
    if int(found[1]) >= processes:
        raise CommandLineError(
            f"--{name}={text}: process {found[1]} must lie between 0 and {processes - 1}"
        )
    return int(found[1]), int(found[2])


# ==== One attempt


def _attempt(rehearsal: Rehearsal, number: int) -> Outcome | None:
    """Starts all processes and follows them to their end; None after Ctrl-C."""
    _say(f"attempt {number}: {rehearsal.processes} process(es) of {rehearsal.devices} device(s)")
    with tempfile.TemporaryDirectory() as folder:
        reached = Path(folder) / "reached"
        with _start(rehearsal, number, reached) as group:
            try:
                terminated = _follow(rehearsal, group, reached)
            except KeyboardInterrupt:
                _interrupted(group)
                return None
    last_steps = tuple(_last_step(process.last_lines) for process in group.processes)
    outcome = Outcome(tuple(group.statuses), last_steps, terminated is not None)
    _tell_end(number, group, outcome, terminated)
    if number == 1 and not any(outcome.statuses):
        _tell_what_did_not_happen(rehearsal, terminated)
    return outcome


def _start(rehearsal: Rehearsal, number: int, reached: Path) -> ProcessGroup:
    environment = simulated_environment(rehearsal.devices, REPOSITORY)
    port, processes = find_free_port(), []
    for index in range(rehearsal.processes):
        log = rehearsal.logs / f"process_{index}.log"
        with log.open("a", encoding="utf-8") as file:
            file.write(f"==== attempt {number}, {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        worker = [
            f"--coordinator=localhost:{port}",
            f"--num_processes={rehearsal.processes}",
            f"--process_id={index}",
            f"--heartbeat_timeout={rehearsal.heartbeat_timeout}",
            *rehearsal.training,
        ]
        planted = rehearsal.faults(index, number, reached).arguments()
        program = ["launch.rehearsed_worker", *planted, "--"] if planted else ["launch.worker"]
        command = [sys.executable, "-m", *program, *worker]
        processes.append(LoggedProcess(index, command, environment, log))
    return ProcessGroup(processes)


def _follow(rehearsal: Rehearsal, group: ProcessGroup, reached: Path) -> float | None:
    """Waits until all processes have ended; returns when they got SIGTERM, if they did."""
    terminated = failed = None
    while None in group.statuses:
        time.sleep(_POLL)
        if terminated is None and reached.exists():
            terminated = time.monotonic()
            _say(f"SIGTERM to all processes after step {rehearsal.sigterm}")
            group.terminate()
        if failed is None and any(group.statuses):
            failed = time.monotonic()
        patience = rehearsal.heartbeat_timeout + _PATIENCE
        if failed is not None and time.monotonic() - failed > patience:
            left = [process.number for process in group.processes if process.status is None]
            _say(f"process(es) {left} still wait {patience:.0f} s after another one ended: killed")
            break
    return terminated


def _tell_end(number: int, group: ProcessGroup, outcome: Outcome, terminated: float | None) -> None:
    first = min(process.ended for process in group.processes)
    for process in sorted(group.processes, key=lambda one: one.ended):
        after = process.ended - first
        since = f", {after:.1f} s after the first" if after > 1 else ""
        _say(
            f"attempt {number}: process {process.number}: {describe_status(process.status)}{since}"
        )
    if terminated is not None and not any(outcome.statuses):
        seconds = max(process.ended for process in group.processes) - terminated
        steps = sorted({pair[0] for pair in outcome.last_steps if pair})
        same = f"all saved step {steps[0]}" if len(steps) == 1 else f"they saved steps {steps}"
        _say(f"attempt {number}: {same} and ended {seconds:.1f} s after SIGTERM")


def _tell_what_did_not_happen(rehearsal: Rehearsal, terminated: float | None) -> None:
    """Names the faults whose step the first attempt, which ended well, did not reach."""
    planted = {name: getattr(rehearsal, name) for name in ("kill", "hang")}
    flags = [f"--{name}={at[0]}@{at[1]}" for name, at in planted.items() if at]
    if rehearsal.sigterm and terminated is None:
        flags.append(f"--sigterm={rehearsal.sigterm}")
    for flag in flags:
        _say(f"warning: {flag} did not happen: training ended before that step was finished")


def _last_step(lines: Sequence[str]) -> tuple[int, int] | None:
    """Returns (step, of how many) as the command tells it at its end."""
    for line in reversed(lines):
        if found := re.search(r": step (\d+) of (\d+)", line):
            return int(found[1]), int(found[2])
    return None


def _interrupt(*_) -> None:
    raise KeyboardInterrupt


def _interrupted(group: ProcessGroup) -> None:
    """Lets the processes save, for as long as a cloud would."""
    _say("interrupted: all processes get SIGTERM and 30 s to save")
    group.terminate()
    ends = time.monotonic() + 30.0
    while None in group.statuses and time.monotonic() < ends:
        time.sleep(_POLL)


# ==== The report


def _report(rehearsal: Rehearsal, attempts: Sequence[Attempt]) -> None:
    from launch.wall_time import account, table_lines
    from semcoder_jax.training.goodput import GOODPUT_FILE
    from semcoder_jax.training.metrics import read_metrics

    rows = read_metrics(as_path(rehearsal.workdir) / GOODPUT_FILE)
    for line in table_lines(account(attempts, rows)):
        _say(line)
    _say(f"logs: {rehearsal.logs}/process_N.log")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
