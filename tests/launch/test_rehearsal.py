"""Tests the rehearsal of a pod: its flags, its processes' logs, and runs that lose processes."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from launch import local
from launch.faults import Faults
from launch.local import Outcome, parse_arguments
from launch.process_group import LoggedProcess, describe_status, simulated_environment
from semcoder_jax.planner.settings import Setting
from semcoder_jax.planner.written_config import write_config
from semcoder_jax.training.metrics import read_metrics
from tests.support.compiling import QUICK
from tests.support.config_file import write_config_file
from tests.support.planner_stand_in import FITS
from tests.support.tiny_run import tiny_config

REPOSITORY = Path(__file__).parents[2]
TRAINING = ["--", "--config=c.py", "--workdir=w"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--devices=2", *TRAINING], "--processes=N is missing"),
        (["--processes=2", *TRAINING], "--devices=N is missing"),
        (["--processes=0", "--devices=2", *TRAINING], "--processes is '0', expected a whole"),
        (["--processes=two", "--devices=2", *TRAINING], "--processes is 'two'"),
        (["--processes=2", "--devices=2", "--kill=1", *TRAINING], "expected PROCESS@STEP, as in"),
        (["--processes=2", "--devices=2", "--kill=1@0", *TRAINING], "expected PROCESS@STEP"),
        (["--processes=2", "--devices=2", "--slow=0@x", *TRAINING], "PROCESS@MILLISECONDS"),
        (["--processes=2", "--devices=2", "--hang=2@5", *TRAINING], "between 0 and 1"),
        (["--processes=2", "--devices=2", "--sigterm=0@5", *TRAINING], "--sigterm is '0@5'"),
        (["--processes=2", "--devices=2", "--sigkill=5", *TRAINING], "--sigkill=5"),
        (["--processes=2", "--devices=2", "--", "--config=c"], "after --, --workdir=… is missing"),
        (["--processes=2", "--devices=2"], "after --, --config=… is missing"),
    ],
)
def test_mistakes_are_one_line_before_a_process_starts(arguments, message, capsys):
    assert local.main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_help(capsys):
    assert local.main(["--help"]) == 0
    assert "--slow=PROCESS@MILLISECONDS" in capsys.readouterr().out


def test_faults_are_planted_in_their_process_in_the_first_attempt_only():
    rehearsal = parse_arguments(
        ["--processes=3", "--devices=1", "--kill=1@7", "--slow=2@50", "--sigterm=9", *TRAINING]
    )
    file = Path("f")
    faults = [[rehearsal.faults(p, attempt, file) for p in range(3)] for attempt in (1, 2)]
    assert faults[0] == [Faults(reached=9, file="f"), Faults(kill=7), Faults(slow=50)]
    assert faults[1] == [Faults(), Faults(), Faults(slow=50)]
    assert Faults(kill=7).arguments() == ["--kill=7"] and Faults().arguments() == []
    assert str(rehearsal.logs) == "w-logs"


def test_logs_of_two_workdirs_never_share_a_folder():
    workdirs = ("gs://a/run", "gs://b/run/", "s3://a/run", "gs://a/b/run", "gs://a/b-run", "run")
    flags = ["--processes=1", "--devices=1", "--", "--config=c.py"]
    folders = [str(parse_arguments([*flags, f"--workdir={one}"]).logs) for one in workdirs]
    assert len(set(folders)) == len(workdirs)
    assert folders[0] == "gs/a/run-logs" and folders[-1] == "run-logs"


def test_a_fault_that_did_not_happen_is_named(capsys):
    flags = ["--processes=2", "--devices=1", "--kill=1@99", "--sigterm=77", "--slow=0@5"]
    planted = parse_arguments([*flags, *TRAINING])
    local._tell_what_did_not_happen(planted, None)
    said = capsys.readouterr().out
    assert "--kill=1@99 did not happen" in said and "--sigterm=77 did not happen" in said
    assert "--slow" not in said and said.count("\n") == 2


def test_an_attempt_is_over_when_all_trained_to_the_end_or_stopped_unasked():
    def outcome(statuses, told, terminated=False):
        return Outcome(statuses, told, terminated)

    assert outcome((0, 0), ((9, 9), (9, 9))).is_done
    assert outcome((0, 0), ((5, 9), (5, 9))).is_done  # train.stop_after_step
    assert not outcome((0, 0), ((5, 9), (5, 9)), terminated=True).is_done
    assert outcome((0, 0), ((9, 9), (9, 9)), terminated=True).is_done  # SIGTERM came too late
    assert not outcome((-9, 75), (None, None)).is_done
    assert outcome((2, -6), (None, None)).is_mistake
    assert not outcome((75, -6), (None, None)).is_mistake


@pytest.mark.parametrize(
    ("status", "text"),
    [(0, "exit status 0"), (75, "exit status 75"), (-9, "killed by SIGKILL"), (-99, "signal 99")],
)
def test_how_a_process_ended(status, text):
    assert text in describe_status(status)


def test_lines_are_prefixed_and_kept_in_a_file_each(tmp_path, capsys):
    program = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"
    log = tmp_path / "process_4.log"
    log.write_text("before\n")
    command = [sys.executable, "-u", "-c", program]
    process = LoggedProcess(4, command, dict(os.environ), log)
    process._process.wait()
    process.close()
    assert process.status == 3
    assert log.read_text() == "before\none\ntwo\n"
    assert capsys.readouterr().out == "[4] one\n[4] two\n"
    assert list(process.last_lines) == ["one", "two"]


def test_the_devices_are_simulated_and_other_flags_stay(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=1 --xla_force_host_platform_device_count=7 --xla_b=2")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    environment = simulated_environment(4, Path("/here"))
    assert environment["XLA_FLAGS"].split() == [
        "--xla_a=1", "--xla_b=2", "--xla_force_host_platform_device_count=4"
    ]  # fmt: skip
    assert environment["PYTHONPATH"] == "/here:/elsewhere"
    assert environment["JAX_PLATFORMS"] == "cpu"


# ==== Real processes


@pytest.fixture(scope="module")
def rehearse(data, tmp_path_factory, compiled_programs):
    """Runs `semcoder launch local` of one config with flags; returns (status, what it printed)."""
    folder = tmp_path_factory.mktemp("rehearsal")
    config = tiny_config(
        data, data__eval=None, train__num_steps=24, train__log_every=1, train__checkpoint_every=6
    )
    config["mesh"] = {"data": -1}
    path = write_config_file(folder, config)

    def run(workdir, *flags, training=(), config=path):
        command = [
            sys.executable, "-m", "semcoder_jax.cli", "launch", "local", "--devices=2", *flags,
            "--", f"--config={config}", f"--workdir={workdir}", *training,
        ]  # fmt: skip
        environment = os.environ | {
            "XLA_FLAGS": QUICK,
            "JAX_COMPILATION_CACHE_DIR": str(compiled_programs),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "PYTHONPATH": str(REPOSITORY),
        }
        done = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300
        )
        return done.returncode, done.stdout + done.stderr

    run.config = path
    return run


def losses_of(workdir):
    return {row["step"]: row["loss"] for row in read_metrics(workdir / "metrics.jsonl")
            if "loss" in row}  # fmt: skip


@pytest.mark.slow
@pytest.mark.exclusive
def test_a_killed_process_then_sigterm_then_a_smaller_slice(rehearse, tmp_path):
    """One run: process 1 of two is killed and brought back; all get SIGTERM and save one step; one
    process with half the devices goes on to the end, in the setting that a search wrote."""
    workdir = tmp_path / "run"
    status, said = rehearse(
        workdir, "--processes=2", "--kill=1@8", "--slow=0@400", "--attempts=2",
        "--heartbeat_timeout=10",
        training=["--config.train.stop_after_step=11"],
    )  # fmt: skip
    assert status == 0, said[-4000:]
    assert "attempt 1: process 1: killed by SIGKILL" in said
    survivor = re.search(r"attempt 1: process 0: (.+?)(?:, ([\d.]+) s after .*)?$", said, re.M)
    assert survivor[1] in ("exit status 1", "killed by SIGABRT")
    assert float(survivor[2] or 0) < 30  # JAX alone takes 100
    assert "from step 6" in said  # the last checkpoint
    slow = re.search(r"process (\d) holds the others up: its host takes ([\d,]+) ms", said)
    assert slow[1] == "0" and 400 <= int(slow[2].replace(",", "")) < 4000
    goodput = re.search(r"goodput ([\d.]+)%: ([\d.]+) of ([\d.]+) s .*, in 2 attempt", said)
    lost = re.findall(r"^  \w+ +([\d.]+) s ", said, re.M)
    assert sum(map(float, lost)) + float(goodput[2]) == pytest.approx(float(goodput[3]), rel=0.02)
    first_attempt = said[: said.index("attempt 2:")]
    made = max(map(int, re.findall(r"\] step (\d+)/24 ", first_attempt)))
    repeated = int(re.search(r"^  repeated .* (\d+) steps, ", said, re.M)[1])
    assert repeated in (made - 6, made - 5)  # the last one may have been made, but not told
    for process in (0, 1):
        log = (tmp_path / f"run-logs/process_{process}.log").read_text()
        assert log.count("==== attempt") == 2 and f"{workdir}: step 11 of 24" in log

    # JAX takes one to two seconds to agree on the step to save; steps of half a second leave five.
    status, said = rehearse(
        workdir, "--processes=2", "--slow=0@500", "--sigterm=14", "--attempts=1"
    )
    assert status == 1, said[-4000:]  # it is not at its end, and may not start again
    stopped = re.search(r"attempt 1: all saved step (\d+) and ended ([\d.]+) s after SIGTERM", said)
    assert 15 <= int(stopped[1]) < 24 and float(stopped[2]) < 30, said[-4000:]
    assert "process 0: exit status 0" in said and "process 1: exit status 0" in said

    written = tmp_path / "fastest.py"
    plan = SimpleNamespace(
        step=FITS, roofline=None, topology=SimpleNamespace(name="v5e:1x2"),
        setting=Setting((2, 1, 1), 2, "nothing_saveable"),
    )  # fmt: skip
    write_config(written, str(rehearse.config), {}, plan=plan)
    status, said = rehearse(workdir, "--processes=1", config=written)
    assert status == 0 and f"on 2 device(s), from step {stopped[1]}" in said, said[-4000:]
    losses = losses_of(workdir)
    assert sorted(losses) == list(range(1, 25))
    assert losses[24] < 0.5 * losses[1]


@pytest.mark.slow
@pytest.mark.exclusive
def test_a_process_that_hangs_ends_the_run_with_the_stacks_of_all(rehearse, tmp_path):
    status, said = rehearse(
        tmp_path / "run", "--processes=2", "--hang=1@3", "--attempts=1",
        training=["--config.train.hang_timeout=8"],
    )  # fmt: skip
    assert status == 1
    for process in (0, 1):
        assert f"[{process}] error: process {process} hangs: no step has finished for 8 s" in said
        assert f"attempt 1: process {process}: exit status 1" in said
    assert re.search(r"^\[1\]   File .*faults.py.* in before_step", said, re.M)
    assert re.search(r"^\[0\]   File .*training/loop.py.* in _update", said, re.M)
