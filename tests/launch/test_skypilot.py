"""Tests managed jobs of SkyPilot against the fake cloud: what is run, left, and told."""

import os
import re
import signal
import types

import pytest
import yaml

from launch.errors import CommandFailed
from launch.failures import explain
from launch.managed_job import MEANINGS, make_task, parse_job
from launch.pod_config import parse_pod
from launch.ways import Training
from launch.ways.job_log import JobLog
from tests.launch.test_gke_xpk import training, when
from tests.support.fake_cloud import Session
from tests.support.fake_cloud.sky import REFUSALS
from tests.support.launching import make_launcher

SKY = ("--pod=launch/pods/skypilot.py", "--pod.poll_seconds=0.05", "--pod.stop_seconds=5")


@pytest.fixture
def launch(tmp_path, monkeypatch, capfd):
    return make_launcher(tmp_path, monkeypatch, capfd)


def calls(launch):
    return [words[1:] for words in launch.cloud.calls()]


def verbs(launch):
    """What sky was told to change."""
    return [words[1] for words in calls(launch) if words[1] in ("launch", "cancel")]


def statuses(launch):
    return [job["status"] for job in launch.cloud.read("jobs")]


def task_of(**fields) -> dict:
    pod = parse_pod({"way": "skypilot", "name": "n", "topology": "v5e:4x4"} | fields)
    return make_task(pod, Training(("--config=c", "--workdir=gs://b/r r"), "run"), "/work")


def test_the_whole_way_in_the_commands_of_skypilots_documentation(launch):
    done = launch(*SKY, "--pod.spot=True", "--pod.zones=('us-west4-a',)")
    assert done.status == 0, done.text
    shapes = {tuple(words[:2]) for words in calls(launch)}
    assert shapes == {("jobs", "queue"), ("jobs", "launch"), ("jobs", "logs")}
    [submission] = [words for words in calls(launch) if words[1] == "launch"]
    assert submission[2:-1] == ["--yes", "--detach-run", "--name=semcoder"]
    assert submission[-1].endswith("/task.yaml")
    assert ["jobs", "queue", "--all", "--output=json"] in calls(launch)
    assert ["jobs", "logs", "--follow", "--tail=0", "1"] in calls(launch)
    shown = yaml.safe_load(done.output.partition("task.yaml:\n")[2].partition("\n\n")[0])
    assert shown["workdir"].endswith("/working_tree") and shown.pop("workdir")
    assert shown == {
        "name": "semcoder",
        "num_nodes": 1,
        "resources": {
            "accelerators": "tpu-v5litepod-16",
            "accelerator_args": {"tpu_vm": True, "runtime_version": "v2-alpha-tpuv5-lite"},
            "job_recovery": {"recover_on_exit_codes": [75]},
            "infra": "gcp/us-west4/us-west4-a",
            "use_spot": True,
        },
        "setup": "set -e\nPYTHON=python3 bash launch/environment.sh install",
        "run": "exec .venv/bin/python -m launch.worker --stopped_status=75 "
        "--config=configs/quickstart.py --workdir=gs://bucket/run",
    }
    assert "jobs controller, a small machine of your account, stays" in done.output
    assert "16 chips (v5e:4x4)" in done.output and statuses(launch) == ["SUCCEEDED"]
    assert done.output.endswith("training finished; nothing of this launch is left running\n")


def test_each_host_has_a_log_and_the_first_is_shown(launch):
    launch.cloud.tell(workers=3)
    launch.cloud.train(Session(lines=("step 1", "(no prefix) of ours"), seconds=0.3))
    done = launch(*SKY)
    assert done.status == 0, done.text
    for rank in range(3):
        lines = done.log(1, f"rank{rank}").splitlines()
        assert f"session 0 of worker {rank}: --stopped_status=75" in lines[0]
        assert lines[1:] == ["step 1", "(no prefix) of ours"]
    assert done.output.count("session 0 of worker") == 1 and "\x1b" not in done.output


@pytest.mark.slow
@pytest.mark.parametrize("silent", [False, True])
def test_a_stream_that_ends_early_is_taken_up_again(launch, silent):
    launch.cloud.tell(lose_log={"times": 2}, silent=silent)  # silent: sky does not say the number
    launch.cloud.train(Session(lines=tuple(f"step {i}" for i in range(100)), seconds=1.0))
    done = launch(*SKY)
    assert done.status == 0, done.text
    assert done.log(1, "rank0").splitlines()[1:] == [f"step {i}" for i in range(100)]
    assert re.findall(r"^step \d+$", done.output, re.M) == [f"step {i}" for i in range(100)]


@pytest.mark.slow
def test_skypilot_replaces_a_preempted_slice(launch):
    launch.cloud.tell(workers=2)
    launch.cloud.train(Session(("first",), (None,)), Session(("second",)))
    when(lambda: len(training(launch)) == 2, lambda: launch.cloud.preempt_job(1))
    done = launch(*SKY)
    assert done.status == 0, done.text
    assert "SkyPilot has replaced the slice (1 of at most 10); training goes on" in done.output
    assert verbs(launch) == ["launch"] and "second" in done.log(1, "rank1")


@pytest.mark.slow
def test_a_stop_that_saved_goes_on_by_itself(launch):
    launch.cloud.train(Session(("first",), (75,)), Session(("second",)))
    done = launch(*SKY)
    assert done.status == 0 and "has replaced the slice (1 of at most 10)" in done.output
    assert verbs(launch) == ["launch"]


@pytest.mark.slow
def test_replacements_have_a_bound(launch):
    launch.cloud.train(Session(("first",), (75,)))
    done = launch(*SKY, "--pod.max_restarts=1")
    assert (
        done.status == 2 and "has replaced the slice 2 times; pod.max_restarts is 1" in done.error
    )
    assert statuses(launch) == ["CANCELLED"] and launch.cloud.containers() == []


@pytest.mark.slow
def test_a_crash_is_repeated_once_and_then_told(launch):
    launch.cloud.train(Session(("Traceback", "error: broken pipe of data"), (1,), seconds=0.3))
    done = launch(*SKY)
    assert done.status == 1 and statuses(launch) == ["FAILED", "FAILED"]
    assert "training failed: broken pipe of data; starting again from the last" in done.output
    assert "not started again: pod.max_crashes is 1" in done.output


@pytest.mark.slow
def test_a_mistake_of_the_user_is_not_repeated(launch):
    launch.cloud.tell(workers=2)
    launch.cloud.train(Session(("error: config: no such field",), (2,), seconds=0.3))
    done = launch(*SKY)
    assert done.status == 2 and done.error.count("\n") == 1 and statuses(launch) == ["FAILED"]
    assert "training refused to start: config: no such field" in done.error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("coming", "told"),
    [
        ("FAILED_NO_RESOURCE", "SkyPilot found no slice (FAILED_NO_RESOURCE): FAILED_NO_RESOURCE"),
        ("FAILED_PRECHECKS", "SkyPilot found no slice (FAILED_PRECHECKS)"),
        ("CANCELLED", "managed job 1 was cancelled by someone else"),
    ],
)
def test_a_job_that_never_runs_is_one_line(launch, coming, told):
    launch.cloud.tell(statuses=["STARTING", coming])
    done = launch(*SKY)
    assert done.status == 2 and told in done.error and done.error.count("\n") == 1
    assert "nothing of this launch is left running" in done.error


@pytest.mark.slow
def test_an_environment_that_cannot_be_installed_is_told_with_its_reason(launch):
    setup = "--pod.setup=('echo error: no Python 3.11 or newer; sleep 0.3; false',)"
    done = launch(*SKY, setup)
    assert done.status == 2 and statuses(launch) == ["FAILED_SETUP"]
    assert "the environment could not be installed: no Python 3.11 or newer" in done.error


@pytest.mark.slow
def test_a_controller_that_failed_costs_a_restart(launch):
    launch.cloud.tell(statuses=["RUNNING", "FAILED_CONTROLLER"])
    done = launch(*SKY)
    assert done.status == 0 and statuses(launch) == ["FAILED_CONTROLLER", "SUCCEEDED"]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_launch_cancels_its_job(launch, number, status):
    launch.cloud.train(Session(statuses=(None,)))
    when(lambda: training(launch), lambda: os.kill(os.getpid(), number))
    done = launch(*SKY)
    assert done.status == status, done.text
    assert statuses(launch) == ["CANCELLED"] and launch.cloud.containers() == []
    assert ["jobs", "cancel", "--yes", "--graceful", "1"] in calls(launch)
    assert any("saved\n" in text for text in training(launch))
    assert "stopped; nothing of this launch is left running" in done.output


@pytest.mark.slow
def test_a_job_of_that_name_is_neither_doubled_nor_cancelled(launch):
    launch.cloud.train(Session(statuses=(None,)))
    when(lambda: training(launch), lambda: os.kill(os.getpid(), signal.SIGINT))
    kept = launch(*SKY, "--keep")
    assert "kept, and costs until it is deleted: managed job semcoder with its slice" in kept.output
    assert "sky jobs cancel --yes 1" in kept.output and len(launch.cloud.containers()) == 1
    done = launch(*SKY, "--keep")
    assert done.status == 2 and "managed job semcoder exists (RUNNING); --reuse" in done.error
    launch.cloud.train(Session(("again",), seconds=2.0))
    launch.cloud.preempt_job(1)
    again = launch(*SKY, "--reuse")
    assert again.status == 0 and "managed job semcoder (1) is there" in again.output
    assert verbs(launch) == ["launch"] and statuses(launch) == ["SUCCEEDED"]


def test_a_refused_job_is_one_line_and_leaves_nothing(launch):
    launch.cloud.refuse("sky launch", "resources")
    done = launch(*SKY)
    assert done.status == 2 and done.error.count("\n") == 1
    assert "no such slice anywhere now" in done.error
    assert "nothing of this launch is left running" in done.error and verbs(launch) == ["launch"]


@pytest.mark.slow
def test_a_submission_that_failed_but_was_made_is_cancelled(launch):
    launch.cloud.refuse("sky launch", "server", after=True)
    done = launch(*SKY)
    assert done.status == 2 and statuses(launch) == ["CANCELLED"]


@pytest.mark.slow
def test_a_cancellation_that_fails_says_what_is_left(launch):
    launch.cloud.tell(statuses=["STARTING"] * 99)
    launch.cloud.refuse("sky cancel", "server", times=9)
    when(lambda: launch.cloud.read("jobs"), lambda: os.kill(os.getpid(), signal.SIGINT))
    done = launch(*SKY)
    assert (
        done.status == 130 and "deleting failed: sky jobs cancel: SkyPilot's server" in done.output
    )
    assert "left running, and costs until it is deleted: managed job semcoder" in done.output


@pytest.mark.slow
def test_a_server_that_does_not_answer_for_a_while_costs_nothing(launch):
    launch.cloud.train(Session(("step 1",), seconds=1.0))
    when(lambda: training(launch), lambda: launch.cloud.refuse("sky queue", "server", times=3))
    done = launch(*SKY)
    assert done.status == 0, done.text
    assert done.output.count("SkyPilot's server does not answer") == 3
    assert verbs(launch) == ["launch"] and statuses(launch) == ["SUCCEEDED"]


def test_without_sky_nothing_is_begun(launch, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    done = launch(*SKY)
    assert done.status == 2 and "sky is not installed; it finds and runs slices" in done.error


def test_a_dry_run_shows_the_task_and_runs_nothing(launch, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    done = launch(*SKY, "--dry_run")
    assert done.status == 0 and launch.cloud.calls() == []
    shown = re.findall(r"^\+ (\w+ \w+ \w+)", done.output, re.M)
    assert shown == ["sky jobs launch", "sky jobs logs", "sky jobs cancel"]
    assert "accelerators: tpu-v5litepod-16" in done.output


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("login", "gcloud auth application-default login"),
        ("permission", "no permission"),
        ("quota", "no quota"),
        ("server", "SkyPilot's server does not answer"),
        ("resources", "no such slice anywhere now"),
        ("flags", "this version of SkyPilot has other flags"),
    ],
)
def test_what_sky_prints_becomes_one_line_that_says_what_to_do(cause, told):
    error = CommandFailed("sky failed", ("sky",), 1, REFUSALS[cause])
    said = str(explain(error, MEANINGS, "sky jobs launch"))
    assert told in said and "\n" not in said


def test_choices_of_where_and_how_it_is_paid_for():
    assert task_of()["resources"]["infra"] == "gcp"
    assert task_of()["resources"]["use_spot"] is False
    zones = ("us-central1-a", "europe-west4-b")
    both = task_of(zones=zones, spot=True, on_demand_too=True)["resources"]
    assert both["any_of"] == [
        {"infra": "gcp/us-central1/us-central1-a", "use_spot": True},
        {"infra": "gcp/europe-west4/europe-west4-b", "use_spot": True},
        {"infra": "gcp/us-central1/us-central1-a", "use_spot": False},
        {"infra": "gcp/europe-west4/europe-west4-b", "use_spot": False},
    ]
    assert not {"infra", "use_spot"} & set(both)


@pytest.mark.parametrize(
    ("topology", "accelerator", "runtime"),
    [
        ("v5e:4x4", "tpu-v5litepod-16", "v2-alpha-tpuv5-lite"),
        ("v5p:2x2x2", "tpu-v5p-16", "v2-alpha-tpuv5"),
        ("v6e:4x4", "tpu-v6e-16", "v2-alpha-tpuv6e"),
        ("v4:2x2x4", "tpu-v4-32", "tpu-ubuntu2204-base"),
    ],
)
def test_slices_and_software_by_clouds_names(topology, accelerator, runtime):
    resources = task_of(topology=topology)["resources"]
    assert resources["accelerators"] == accelerator
    assert resources["accelerator_args"]["runtime_version"] == runtime


def test_environment_setup_and_words_with_spaces_reach_the_hosts():
    task = task_of(setup=("export A=1",), variables={"B": 2}, labels={"team": "x"}, python="py")
    assert task["setup"] == "set -e\nexport A=1\nPYTHON=py bash launch/environment.sh install"
    assert task["run"].endswith("--config=c '--workdir=gs://b/r r'")
    assert task["envs"] == {"B": "2"} and task["resources"]["labels"] == {"team": "x"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--pod.slices=2"], "SkyPilot joins no slices of a TPU"),
        (["--pod.on_demand_too=True"], "pod.on_demand_too goes with pod.spot=True"),
        (["--pod.zones=('us-central1',)"], "expected zones like us-central2-b"),
        (["--", "--config=c", "--workdir=run"], "expected gs://BUCKET/RUN"),
    ],
)
def test_mistakes_are_one_line(launch, words, told):
    done = launch(*SKY, *words)
    assert done.status == 2 and told in done.error and done.error.count("\n") == 1
    assert launch.cloud.calls() == []


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("Job exited with exit code 2 (user program failure). To see", [2]),
        ("Job exited with exit codes [75, 137] (user program failure).", [75, 137]),
        ("Failed to fetch exit codes", []),
        (None, []),
    ],
)
def test_exit_statuses_that_skypilot_tells(reason, expected):
    record = {"job_id": 1, "job_name": "n", "status": "FAILED", "failure_reason": reason}
    assert parse_job(record).exit_statuses() == expected


def test_a_stream_is_taken_apart_by_host(tmp_path):
    said = []
    log = JobLog(tmp_path, types.SimpleNamespace(say=said.append))
    stream = (
        b"\x1b[36m(setup pid=1)\x1b[0m Creating .venv\n",
        b"(setup pid=2, ip=10.0.0.7) Creating .venv\n",
        b"(head, rank=0, pid=3) step 1\n",
        b"(worker1, rank=1, pid=4, ip=10.0.0.7) step 1\n",
        b"(run, pid=5) one host\n",
        b"Waiting for the slice (pid or not)\n",
    )
    for line in stream:
        log.take_line(line)
    log.start_over()
    for line in (*stream, b"(head, rank=0, pid=3) step 2\n"):
        log.take_line(line)
    files = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert files == {
        "setup0.log": "Creating .venv\n",
        "setup-10.0.0.7.log": "Creating .venv\n",
        "rank0.log": "step 1\none host\nstep 2\n",
        "rank1.log": "step 1\n",
        "skypilot.log": "Waiting for the slice (pid or not)\n",
    }
    assert said == [
        "Creating .venv", "step 1", "one host", "Waiting for the slice (pid or not)", "step 2"
    ]  # fmt: skip
