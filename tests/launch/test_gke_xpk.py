"""Tests workloads of xpk against the fake cloud: what is run, what is left, what is told."""

import os
import re
import signal
import subprocess
import threading
import time

import pytest

from launch.errors import CommandFailed, LaunchError
from launch.failures import explain
from launch.pod_config import parse_pod, xpk_type
from launch.ways.gke_xpk import MEANINGS
from semcoder_jax.planner.topologies import parse
from tests.support.fake_cloud import Session
from tests.support.fake_cloud.xpk import REFUSALS
from tests.support.launching import make_launcher

GKE = (
    "--pod=launch/pods/gke_xpk.py", "--pod.cluster=c", "--pod.zone=us-east5-b", "--pod.project=p",
    "--pod.image=r/i:1", "--pod.poll_seconds=0.05", "--pod.stop_seconds=5",
)  # fmt: skip
PLACE = ["--cluster=c", "--zone=us-east5-b", "--project=p"]
DELETE = "xpk workload delete --workload=semcoder --cluster=c --zone=us-east5-b --project=p"


@pytest.fixture
def launch(tmp_path, monkeypatch, capfd):
    launcher = make_launcher(tmp_path, monkeypatch, capfd)
    launcher.cloud.add_cluster("c")
    return launcher


def calls(launch, program="xpk"):
    return [words[1:] for words in launch.cloud.calls() if words[0] == program]


def when(condition, act) -> threading.Thread:
    """Acts in a thread once the condition holds."""

    def wait():
        until = time.monotonic() + 30
        while not condition() and time.monotonic() < until:
            time.sleep(0.05)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def training(launch) -> list[str]:
    """Logs of pods in which training runs."""
    texts = [path.read_text() for path in (launch.cloud.folder / "containers").glob("*/log")]
    return [text for text in texts if "session" in text]


def test_the_whole_way_in_the_commands_of_xpks_documentation(launch):
    done = launch(*GKE, "--pod.variables={'B':'x=y','A':'1'}")
    assert done.status == 0, done.text
    create, delete = calls(launch)
    [script_dir] = [word for word in create if word.startswith("--script-dir=")]
    assert script_dir.endswith("/working_tree")
    create.remove(script_dir)
    assert create == [
        "workload", "create", "--workload=semcoder", *PLACE,
        "--tpu-type=v5litepod-16", "--num-slices=1", "--base-docker-image=r/i:1",
        "--priority=medium", "--max-restarts=10", "--restart-on-exit-codes=1,75",
        "--termination-grace-period-seconds=5", "--env=A=1", "--env=B=x=y",
        "--command=exec python -m launch.worker --stopped_status=75 "
        "--config=configs/quickstart.py --workdir=gs://bucket/run",
    ]  # fmt: skip
    assert delete == ["workload", "delete", "--workload=semcoder", *PLACE]
    listing, connecting = calls(launch, "gcloud")
    assert listing == [
        "container", "clusters", "list", "--filter=name=c", "--format=value(location)",
        "--project=p",
    ]  # fmt: skip
    assert connecting == [
        "container", "clusters", "get-credentials", "c", "--location=us-east5", "--project=p"
    ]  # fmt: skip
    looks = {tuple(words[:2]) for words in calls(launch, "kubectl")}
    assert looks == {("config", "current-context"), ("get", "jobset"), ("get", "pods"),
                     ("logs", "semcoder-slice-job-0-0-a0")}  # fmt: skip
    place = {"--namespace=default", "--context=gke_p_us-east5_c"}
    assert all(place < set(words) for words in calls(launch, "kubectl") if words[0] != "config")
    assert "cluster c exists, stays, and goes on costing" in done.output
    assert "16 chips (v5e:4x4)" in done.output
    assert "nothing of this launch is left running" in done.output
    assert launch.cloud.read("workloads") == {} and launch.cloud.containers() == []


def test_each_worker_of_each_slice_has_a_log_and_the_first_is_shown(launch):
    launch.cloud.tell(workers=2)
    done = launch(*GKE, "--pod.slices=2")
    assert done.status == 0, done.text
    assert "--num-slices=2" in calls(launch)[0]
    for part in range(2):
        for worker in range(2):
            text = done.log(1, f"slice{part}-worker{worker}")
            assert f"session 0 of worker {worker}:" in text and text.endswith("EXIT_CODE=0\n")
            assert "\nstep 1\nstep 2\n" in text
    assert done.output.count("session 0 of worker") == 1


@pytest.mark.slow
def test_a_lost_connection_costs_no_line_and_brings_none_twice(launch):
    launch.cloud.tell(lose_log={"times": 2})
    launch.cloud.train(Session(lines=tuple(f"step {i}" for i in range(200)), seconds=0.5))
    done = launch(*GKE)
    lines = done.log(1, "slice0-worker0").splitlines()
    assert lines[2:202] == [f"step {i}" for i in range(200)]
    assert re.findall(r"^step \d+$", done.output, re.M) == [f"step {i}" for i in range(200)]


@pytest.mark.slow
@pytest.mark.parametrize("status", [1, 75, 137])
def test_the_cluster_restarts_lost_and_stopped_workers(launch, status):
    launch.cloud.tell(workers=2)
    launch.cloud.train(
        Session(lines=("first",), statuses=(None, status), seconds=0.5), Session(("second",))
    )
    done = launch(*GKE)
    assert done.status == 0, done.text
    assert "the cluster has restarted training (1 of 10)" in done.output
    assert [words[:2] for words in calls(launch)] == [
        ["workload", "create"],
        ["workload", "delete"],
    ]
    assert "second" in done.log(1, "slice0-worker0-attempt2")
    assert "first" in done.log(1, "slice0-worker0")


@pytest.mark.slow
def test_a_killed_worker_is_replaced_with_all_others(launch):
    launch.cloud.tell(workers=2)
    launch.cloud.train(Session(statuses=(None,)), Session())
    when(lambda: len(training(launch)) == 2, lambda: launch.cloud.fail_pod("semcoder", 1))
    done = launch(*GKE)
    assert done.status == 0 and "restarted training (1 of 10)" in done.output


@pytest.mark.slow
def test_restarts_have_a_bound(launch):
    launch.cloud.train(Session(lines=("error: no file x",), statuses=(75,)))
    done = launch(*GKE, "--pod.max_restarts=2")
    assert done.status == 1
    assert launch.cloud.read("workloads") == {}
    assert "restarted 2 of 2 times; not started again: pod.max_crashes is 0" in done.output
    assert "slice 0 worker 0 exited with 75" in done.output


@pytest.mark.slow
def test_a_mistake_of_the_user_is_not_repeated(launch):
    launch.cloud.train(Session(lines=("error: config: no such field",), statuses=(2,)))
    done = launch(*GKE)
    assert done.status == 2 and done.error.count("\n") == 1
    assert "training refused to start: config: no such field" in done.error
    assert "restarted" not in done.output and launch.cloud.read("workloads") == {}


@pytest.mark.slow
def test_a_workload_of_that_name_is_neither_replaced_nor_deleted(launch):
    launch.cloud.train(Session(statuses=(None,)))
    when(lambda: training(launch), lambda: os.kill(os.getpid(), signal.SIGINT))
    kept = launch(*GKE, "--keep")
    assert (
        kept.status == 130
        and f"kept, and costs until it is deleted: workload semcoder; {DELETE}" in (kept.output)
    )
    assert len(launch.cloud.containers()) == 1
    done = launch(*GKE, "--keep")
    assert done.status == 2 and "--reuse follows it" in done.error and DELETE in done.error
    launch.cloud.fail_pod("semcoder")
    launch.cloud.train(Session(("again",)))
    again = launch(*GKE, "--reuse")
    assert again.status == 0 and "workload semcoder is there" in again.output
    assert launch.cloud.read("workloads") == {}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_launch_lets_training_save_and_deletes(launch, number, status):
    launch.cloud.train(Session(statuses=(None,)))
    when(lambda: training(launch), lambda: os.kill(os.getpid(), number))
    done = launch(*GKE)
    assert done.status == status, done.text
    assert launch.cloud.read("workloads") == {} and launch.cloud.containers() == []
    assert "stopped; nothing of this launch is left running" in done.output
    [log] = (launch.cloud.folder / "containers").glob("*/log")
    assert "saved\n" in log.read_text()


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("login", "gcloud auth application-default login"),
        ("permission", "roles/container.admin"),
        ("quota", "no quota"),
        ("image", "the image is missing: docker build --file=launch/Dockerfile"),
        ("push", "gcloud auth configure-docker"),
        ("slices", "the cluster has fewer slices"),
        ("docker", "xpk misses a program"),
        ("broken", "xpk workload create semcoder failed: "),
    ],
)
def test_what_xpk_prints_becomes_one_line_that_says_what_to_do(cause, told):
    printed = f"{REFUSALS[cause]}\n[XPK] XPK failed, error code 1\n"
    error = CommandFailed("xpk failed", ("xpk",), 1, "", printed)
    said = str(explain(error, MEANINGS, "xpk workload create semcoder"))
    assert told in said and "\n" not in said


def test_a_refused_workload_is_one_line_and_leaves_nothing(launch):
    launch.cloud.refuse("workload create", "image")
    done = launch(*GKE)
    assert done.status == 2 and done.error.count("\n") == 1
    assert "the image is missing" in done.error and "nothing of this launch is left" in done.error


@pytest.mark.slow
def test_a_workload_that_failed_but_was_made_is_deleted(launch):
    launch.cloud.refuse("workload create", "broken", after=True)
    assert launch(*GKE).status == 2
    assert launch.cloud.read("workloads") == {} and launch.cloud.containers() == []


@pytest.mark.slow
def test_a_deletion_that_fails_says_what_is_left(launch):
    launch.cloud.refuse("workload delete", "permission", times=9)
    done = launch(*GKE)
    assert done.status == 0
    assert "deleting failed: xpk workload delete semcoder: no permission" in done.output
    assert done.output.endswith(
        f"left running, and costs until it is deleted: workload semcoder; {DELETE}\n"
    )


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_for_a_while_costs_nothing(launch):
    launch.cloud.train(Session(("step 1",), seconds=1.0))
    silent = {"refuse": "Unable to connect to the server: dial tcp: i/o timeout", "times": 3}
    when(lambda: training(launch), lambda: launch.cloud.tell(kubectl_get=silent))
    done = launch(*GKE)
    assert done.status == 0, done.text
    assert done.output.count("the cluster cannot be reached") == 3
    assert [words[1] for words in calls(launch)] == ["create", "delete"]


@pytest.mark.slow
def test_an_absent_cluster_is_one_line(launch):
    done = launch(*GKE, "--pod.cluster=d")
    assert done.status == 2 and "there is no cluster d in us-east5-b or us-east5" in done.error
    assert "--pod.create_cluster=True" in done.error and calls(launch) == []


@pytest.mark.slow
def test_a_cluster_by_its_zone_is_found(launch):
    launch.cloud.add_cluster("c", "us-east5-b")
    assert launch(*GKE).status == 0
    assert "--location=us-east5-b" in calls(launch, "gcloud")[1]


@pytest.mark.slow
def test_a_cluster_of_ones_own_is_created_and_deleted(launch):
    done = launch(*GKE, "--pod.cluster=own", "--pod.create_cluster=True", "--pod.spot=True")
    assert done.status == 0, done.text
    place = ["--cluster=own", *PLACE[1:]]
    created, _, _, deleted = calls(launch)
    assert created == [
        "cluster", "create", *place, "--tpu-type=v5litepod-16", "--num-slices=1", "--spot"
    ]  # fmt: skip
    assert deleted == ["cluster", "delete", *place, "--force"]
    assert set(launch.cloud.read("clusters")) == {"c"}
    assert "cluster own with 1 x v5litepod-16 and xpk's CPU machines, spot" in done.output
    assert "created before and deleted at the end" in done.output


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_a_cluster_that_failed_is_deleted_or_named(launch, after):
    launch.cloud.refuse("cluster create", "quota", after=after)
    done = launch(*GKE, "--pod.cluster=own", "--pod.create_cluster=True")
    assert done.status == 2 and "no quota" in done.error
    verbs = [words[1] for words in calls(launch)]
    assert verbs == (["create", "delete"] if after else ["create"])
    assert "nothing of this launch is left running" in done.error
    assert set(launch.cloud.read("clusters")) == {"c"}


@pytest.mark.slow
def test_an_image_that_cannot_be_pulled_ends_the_wait(launch):
    launch.cloud.tell(hopeless="Back-off pulling image r/i:1")
    done = launch(*GKE)
    assert done.status == 2 and launch.cloud.read("workloads") == {}
    assert "slice 0 worker 0 cannot start: ImagePullBackOff Back-off pulling" in done.error


@pytest.mark.slow
def test_a_wait_in_the_queue_is_told_once_and_has_a_bound(launch):
    launch.cloud.tell(queued_polls=3)
    done = launch(*GKE)
    assert done.status == 0 and done.output.count("waits in the cluster's queue") == 1
    launch.cloud.tell(queued_polls=999)
    done = launch(*GKE, "--pod.wait_hours=0.0002")
    assert done.status == 2 and "has not started within 0.0002 h" in done.error
    assert launch.cloud.read("workloads") == {}


@pytest.mark.slow
def test_a_workload_that_others_delete_ends_the_launch(launch):
    launch.cloud.train(Session(statuses=(None,)))
    command = [str(launch.cloud.bin / "xpk"), *DELETE.split()[1:]]
    when(launch.cloud.containers, lambda: subprocess.run(command, env=os.environ, check=True))
    done = launch(*GKE)
    assert done.status == 2 and "workload semcoder was deleted by someone else" in done.error


@pytest.mark.parametrize("missing", ["xpk", "kubectl", "gcloud"])
def test_a_missing_program_is_told_before_anything(launch, monkeypatch, tmp_path, missing):
    (launch.cloud.bin / missing).unlink()
    monkeypatch.setenv("PATH", str(launch.cloud.bin))
    done = launch(*GKE)
    assert done.status == 2 and f"{missing} is not installed" in done.error
    assert launch.cloud.calls() == []


def test_a_dry_run_needs_no_program_and_runs_none(launch, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    done = launch(*GKE, "--pod.create_cluster=True", "--dry_run")
    assert done.status == 0 and launch.cloud.calls() == []
    shown = re.findall(r"^\+ (\w+ \w+ \w+)", done.output, re.M)
    assert shown == [
        "xpk cluster create", "gcloud container clusters", "xpk workload create",
        "kubectl logs semcoder", "xpk workload delete", "xpk cluster delete",
    ]  # fmt: skip


@pytest.mark.slow
def test_setup_precedes_training_and_signals_reach_training_itself(launch):
    launch(*GKE, "--pod.setup=('echo one > setup.txt',)")
    [command] = [word for word in calls(launch)[0] if word.startswith("--command=")]
    assert command.startswith("--command=echo one > setup.txt && exec python -m launch.worker ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--pod.priority=urgent"], "expected one of very-low, low, medium, high, very-high"),
        (["--pod.spot=True"], "pod.spot goes with pod.create_cluster=True"),
        (["--pod.reservation=r"], "pod.reservation goes with pod.create_cluster=True"),
        (["--pod.create_cluster=True", "--pod.spot=True", "--pod.reservation=r"], "exclude"),
        (["--pod.topology=v5e:2x2"], "a slice that xpk does not know"),
        (["--pod.topology=v3:4x4"], "a slice that xpk does not know"),
        (["--pod.name=" + "a" * 41], "xpk takes 40"),
        (["--pod.name=Semcoder"], "lower-case letters"),
        (
            [
                "--",
                "--config=configs/quickstart.py",
                "--workdir=gs://b/r",
                "--config.data.tokenizer=b\nc",
            ],
            "several lines",
        ),
    ],
)
def test_mistakes_are_one_line(launch, words, told):
    done = launch(*GKE, *words)
    assert done.status == 2 and told in done.error and done.error.count("\n") == 1
    assert calls(launch) == []


def test_fields_without_which_nothing_can_be_created():
    for missing in ("cluster", "zone", "image"):
        fields = {"way": "gke_xpk", "name": "n", "topology": "v5e:4x4"}
        fields |= {name: "x" for name in ("cluster", "zone", "image") if name != missing}
        with pytest.raises(LaunchError, match=missing):
            parse_pod(fields)


@pytest.mark.parametrize(
    ("topology", "name"),
    [
        ("v5e:4x4", "v5litepod-16"),
        ("v6e:16x16", "v6e-256"),
        ("v5p:2x2x2", "v5p-2x2x2"),
        ("v4:2x2x4", "v4-2x2x4"),
        ("tpu7x:4x4x4", "tpu7x-4x4x4"),
    ],
)
def test_slices_by_xpks_names(topology, name):
    assert xpk_type(parse(topology)) == name
