"""Tests queued resources against the fake cloud: what is run, what is left, what is told."""

import re
import threading
import time
from pathlib import Path

import pytest

from tests.support.fake_cloud import Session
from tests.support.launching import POLLING, QUEUED, TRAINING, make_launcher


@pytest.fixture
def launch(tmp_path, monkeypatch, capfd):
    return make_launcher(tmp_path, monkeypatch, capfd)


def calls(launch, verb):
    return [words for words in launch.cloud.calls() if words[4] == verb]


def test_the_whole_way_in_the_commands_of_google_clouds_reference(launch):
    done = launch(*QUEUED, "--pod.project=p", "--pod.spot=True")
    assert done.status == 0, done.text
    assert launch.actions() == ["create", "ssh", "scp", "ssh", "ssh", "ssh", "ssh", "delete"]
    [create] = calls(launch, "create")
    assert create[:6] == ["gcloud", "compute", "tpus", "queued-resources", "create", "semcoder"]
    assert set(create[6:]) == {
        "--zone=z", "--project=p", "--accelerator-type=v5litepod-16",
        "--runtime-version=v2-alpha-tpuv5-lite", "--node-id=semcoder", "--spot", "--quiet",
    }  # fmt: skip
    [delete] = calls(launch, "delete")
    assert set(delete[6:]) == {"--zone=z", "--project=p", "--force", "--quiet"}
    [copy] = calls(launch, "scp")
    assert {"semcoder:semcoder-jax.tar.gz", "--worker=all"} < set(copy)
    assert launch.cloud.resources() == {}


@pytest.mark.slow
def test_logs_of_all_workers_are_kept_and_that_of_the_first_is_shown(launch):
    launch.cloud.tell(workers=3)
    done = launch(*QUEUED)
    assert (
        "session 0 of worker 0: --stopped_status=75 --config=configs/quickstart.py" in done.output
    )
    assert "of worker 1" not in done.output
    for worker in range(3):
        assert done.log(1, f"worker{worker}") == (
            f"session 0 of worker {worker}: --stopped_status=75 --config=configs/quickstart.py "
            "--workdir=gs://bucket/run\nstep 1\nstep 2\n"
        )


@pytest.mark.slow
def test_states_are_waited_for_and_told_once(launch):
    launch.cloud.tell(states=["CREATING", "ACCEPTED", "ACCEPTED", "PROVISIONING", "ACTIVE"])
    done = launch(*QUEUED, POLLING)
    told = re.findall(r"^\d\d:\d\d:\d\d semcoder: (\w+)$", done.output, re.M)
    assert told == ["CREATING", "ACCEPTED", "PROVISIONING", "ACTIVE"]


@pytest.mark.slow
def test_several_slices_are_one_request_with_a_node_each(launch):
    launch.cloud.tell(workers=2)
    done = launch(*QUEUED, "--pod.slices=2")
    assert done.status == 0, done.text
    [create] = calls(launch, "create")
    assert {"--node-count=2", "--node-prefix=semcoder"} < set(create)
    assert {words[6] for words in calls(launch, "ssh")} <= {"--zone=z"}
    assert {words[5] for words in calls(launch, "ssh")} == {"semcoder-0", "semcoder-1"}
    assert done.log(1, "semcoder-1-worker1").startswith("session 0 of worker 1")
    assert "32 chips (v5e:4x4x2slices)" in done.output


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("quota", "no quota"),
        ("permission", "roles/tpu.admin"),
        ("login", "gcloud auth login"),
        ("argument", "refuses the arguments (INVALID_ARGUMENT"),
        ("broken", "INTERNAL: an internal error"),
    ],
)
def test_a_refused_request_is_one_line_and_leaves_nothing(launch, cause, told):
    launch.cloud.refuse("queued-resources create", cause)
    done = launch(*QUEUED)
    assert done.status == 2 and done.error.count("\n") == 1
    assert told in done.error and "nothing of this launch is left running" in done.error
    assert launch.actions() == ["create"]


def test_a_request_that_failed_but_was_made_is_deleted(launch):
    launch.cloud.refuse("queued-resources create", "broken", after=True)
    done = launch(*QUEUED)
    assert done.status == 2 and launch.cloud.resources() == {}
    assert launch.actions() == ["create", "delete"]


def test_without_gcloud_nothing_is_begun(launch, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    done = launch(*QUEUED)
    assert done.status == 2 and "gcloud is not installed" in done.error


@pytest.mark.slow
def test_a_resource_of_that_name_is_neither_used_nor_deleted(launch):
    assert launch(*QUEUED, "--keep").status == 0
    before = len(launch.actions())
    done = launch(*QUEUED, "--keep")
    assert done.status == 2 and "exists already (ACTIVE) and is left as it is" in done.error
    assert len(launch.actions()) == before and launch.cloud.resources() == {"semcoder": "ACTIVE"}
    again = launch(*QUEUED, "--reuse")
    assert again.status == 0 and "is taken" in again.output
    assert calls(launch, "create") == calls(launch, "create")[:1]
    assert launch.cloud.resources() == {}


@pytest.mark.slow
def test_keep_says_what_costs_and_how_to_delete_it(launch):
    done = launch(*QUEUED, "--keep")
    assert done.output.endswith(
        "training finished; kept, and costs until it is deleted: queued resource semcoder; gcloud "
        "compute tpus queued-resources delete semcoder --zone=z --force --quiet\n"
    )
    assert "--keep: what is created stays at the end" in done.output


@pytest.mark.slow
def test_a_failed_deletion_is_repeated_then_told_with_its_command(launch):
    launch.cloud.refuse("queued-resources delete", "broken", times=2)
    assert launch(*QUEUED, POLLING).status == 0 and launch.cloud.resources() == {}
    launch.cloud.refuse("queued-resources delete", "permission", times=3)
    done = launch(*QUEUED, POLLING)
    assert "deleting failed" in done.output and launch.cloud.resources() != {}
    assert "queued-resources delete semcoder --zone=z --force --quiet" in done.output


@pytest.mark.parametrize(
    ("states", "flag", "told"),
    [
        (["ACCEPTED", "FAILED"], POLLING, "semcoder is FAILED: the request expired"),
        (["ACCEPTED"] * 1000, "--pod.wait_hours=0.000001", "after 1e-06 h (pod.wait_hours)"),
    ],
)
def test_a_request_that_does_not_come_is_deleted(launch, states, flag, told):
    launch.cloud.tell(states=states, failure="the request expired")
    done = launch(*QUEUED, flag)
    assert done.status == 2 and told in done.error and launch.cloud.resources() == {}


@pytest.mark.slow
def test_no_capacity_is_asked_for_again(launch):
    launch.cloud.tell(
        states=["FAILED"], failure='There is no more capacity in the zone "z"; try another zone'
    )
    done = launch(*QUEUED, POLLING)
    assert done.status == 0, done.text
    assert launch.actions()[:3] == ["create", "delete", "create"]
    assert "no more capacity" in done.output


@pytest.fixture
def preempted(launch):
    """Preempts the slices as soon as training runs, `times` times."""

    def start(times=1, **how):
        def preempt():
            for number in range(1, times + 1):
                launch.cloud.wait_for_session(number, "semcoder")
                logs = f"*/session{number}/worker0.log"
                while not any(log.stat().st_size for log in Path("launches").glob(logs)):
                    time.sleep(0.02)
                launch.cloud.preempt("semcoder", **how)

        thread = threading.Thread(target=preempt, daemon=True)
        thread.start()
        return thread

    return start


@pytest.mark.slow
def test_a_preempted_slice_is_replaced_and_training_goes_on(launch, preempted):
    launch.cloud.train(Session(("step 1",), (None,)), Session(("step 2",)))
    thread = preempted(grace=1.0)
    done = launch(*QUEUED, POLLING, "--pod.spot=True")
    thread.join()
    assert done.status == 0, done.text
    verbs = launch.actions()
    assert verbs.count("create") == verbs.count("delete") == verbs.count("scp") == 2
    assert re.search(
        r"lost its machine: semcoder is (SUSPEND(ING|ED)|gone); starting again", done.output
    )
    assert "step 1\n" in done.log(1, "worker0") and done.log(2, "worker0").endswith("step 2\n")
    starts = [words for words in calls(launch, "ssh") if "detached start" in str(words)]
    assert len(starts) == 2 and starts[0] == starts[1]


@pytest.mark.slow
def test_preemptions_are_bounded(launch, preempted):
    launch.cloud.train(Session(("step 1",), (None,)))
    thread = preempted(times=2)
    done = launch(*QUEUED, POLLING, "--pod.max_restarts=1")
    thread.join()
    assert done.status == 1 and "not started again: pod.max_restarts is 1" in done.output
    assert launch.cloud.resources() == {}


@pytest.mark.slow
def test_what_a_user_suspends_is_not_requested_again(launch, preempted):
    launch.cloud.train(Session((), (None,)))
    thread = preempted(initiator="USER")
    done = launch(*QUEUED, POLLING)
    thread.join()
    assert done.status == 2 and "by a user's request" in done.error
    assert launch.actions().count("create") == 1 and launch.cloud.resources() == {}


@pytest.mark.slow
def test_what_a_user_deletes_is_not_requested_again(launch):
    launch.cloud.train(Session((), (None,)))

    def delete():
        launch.cloud.wait_for_session(1, "semcoder")
        with launch.cloud.state.open() as cloud:
            cloud["resources"].clear()
            cloud["nodes"].clear()
        launch.cloud.state.end_machine("semcoder")

    thread = threading.Thread(target=delete, daemon=True)
    thread.start()
    done = launch(*QUEUED, POLLING)
    thread.join()
    assert done.status == 2 and "deleted by somebody else; nothing of this launch" in done.error
    assert launch.actions().count("create") == 1


@pytest.mark.slow
def test_a_node_in_maintenance_is_replaced(launch):
    launch.cloud.train(Session((), (None,)), Session())

    def maintain():
        launch.cloud.wait_for_session(1, "semcoder")
        launch.cloud.set_node_state("semcoder", "REPAIRING")

    thread = threading.Thread(target=maintain, daemon=True)
    thread.start()
    done = launch(*QUEUED, POLLING)
    thread.join()
    assert done.status == 0 and "semcoder is REPAIRING" in done.output
    assert launch.actions().count("create") == 2


@pytest.mark.slow
def test_training_that_stopped_after_saving_goes_on_where_it_was(launch):
    launch.cloud.train(Session((), (75,)), Session((), (0,)))
    done = launch(*QUEUED)
    assert done.status == 0 and "training stopped after saving" in done.output
    assert launch.actions().count("create") == launch.actions().count("scp") == 1


@pytest.mark.slow
def test_a_mistake_of_the_user_is_not_repeated(launch):
    launch.cloud.train(Session(("error: config: unknown field train.stpes",), (2,)))
    done = launch(*QUEUED)
    assert done.status == 2 and done.error.count("\n") == 1
    assert "refused to start: config: unknown field train.stpes" in done.error
    assert launch.actions().count("create") == 1 and launch.cloud.resources() == {}


@pytest.mark.slow
def test_a_failed_worker_ends_the_others_and_training_is_started_once_more(launch):
    launch.cloud.tell(workers=2)
    launch.cloud.train(Session(("out of memory",), (None, 137)), Session((), (None, 1)))
    done = launch(*QUEUED, "--pod.stop_seconds=0.3")
    assert done.status == 1, done.text
    assert "training failed: semcoder worker 0 exited with 75, semcoder worker 1 exited" in (
        done.output
    )
    assert "not started again: pod.max_crashes is 1" in done.output
    assert launch.cloud.resources() == {}


@pytest.mark.slow
def test_a_lost_connection_loses_nothing(launch):
    lines = tuple(f"step {number}" for number in range(2000))
    launch.cloud.tell(workers=2)
    launch.cloud.train(Session(lines, (0,), seconds=1.0))
    launch.cloud.tell(lose_ssh={"times": 2, "seconds": 0.2})
    done = launch(*QUEUED)
    assert done.status == 0 and done.output.count("connection lost") == 2
    for worker in ("worker0", "worker1"):
        assert done.log(1, worker).splitlines()[1:] == list(lines)
    shown = [line for line in done.output.splitlines() if line.startswith("step ")]
    assert shown == list(lines)
    assert launch.actions().count("create") == 1


@pytest.mark.slow
def test_a_cloud_that_does_not_answer_for_a_while_costs_nothing(launch):
    launch.cloud.tell(states=["ACCEPTED", "ACTIVE"])
    launch.cloud.train(Session(("step 1",), (0,), seconds=2.0))

    def break_questions():
        while "semcoder" not in launch.cloud.resources():
            time.sleep(0.02)
        launch.cloud.refuse("queued-resources describe", "broken", times=2)
        launch.cloud.wait_for_session(1, "semcoder")
        launch.cloud.refuse("queued-resources describe", "login", times=3)

    thread = threading.Thread(target=break_questions, daemon=True)
    thread.start()
    done = launch(*QUEUED, "--pod.poll_seconds=0.3")
    thread.join()
    assert done.status == 0, done.text
    assert "an internal error has occurred; trying again" in done.output
    assert "the state of the machines is not known now" in done.output
    assert launch.actions().count("create") == 1 and launch.cloud.resources() == {}


@pytest.mark.slow
def test_a_new_machine_that_ssh_does_not_reach_yet_is_tried_again(launch):
    launch.cloud.refuse("tpu-vm scp", "ssh", times=2)
    done = launch(*QUEUED, POLLING, "--pod.ssh_flags=('--internal-ip',)")
    assert done.status == 0, done.text
    assert launch.actions().count("scp") == 3 and done.output.count("trying again") == 2
    reached = [words for words in launch.cloud.calls() if words[4] in ("ssh", "scp")]
    assert all("--internal-ip" in words for words in reached)
    launch.cloud.refuse("tpu-vm scp", "ssh", times=3)
    done = launch(*QUEUED, POLLING)
    assert done.status == 2 and "ssh does not reach the worker" in done.error
    assert launch.cloud.resources() == {}


def test_the_working_tree_must_be_as_committed_if_asked(launch, monkeypatch):
    from launch import working_tree
    from launch.errors import LaunchError

    def refuse():
        raise LaunchError("--committed: a.py differ from the last commit")

    monkeypatch.setattr(working_tree, "check_committed", refuse)
    done = launch(*QUEUED, "--committed")
    assert done.status == 2 and launch.actions() == []


def test_a_dry_run_names_all_commands_and_runs_none(launch):
    done = launch(*QUEUED, "--dry_run")
    assert done.status == 0 and launch.cloud.calls() == []
    shown = re.findall(r"^\+ gcloud compute tpus (\S+ \S+)", done.output, re.M)
    assert shown == [
        "queued-resources create", "queued-resources describe", "tpu-vm ssh", "tpu-vm scp",
        *["tpu-vm ssh"] * 4, "queued-resources delete",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--pod=launch/pods/queued_resource.py",), "pod.zone is missing"),
        ((*QUEUED, "--pod.sport=True"), "unknown field pod.sport; did you mean spot?"),
        ((*QUEUED, "--pod.topology=v5e:3x3"), "did you mean v5e:2x4?"),
        ((*QUEUED, "--pod.spot=True", "--pod.reserved=True"), "exclude each other"),
        ((*QUEUED, "--pod.name=My_Pod"), "lower-case letters"),
        ((*QUEUED, "--pod.slices=0"), "expected at least 1"),
        ((*QUEUED, "--pod.way=queue"), "expected one of existing_slice"),
        ((*QUEUED, "--tpu=x"), "--tpu goes with"),
        ((*QUEUED, "--", "--config=c", "--workdir=/data/run"), "--workdir=/data/run"),
        ((*QUEUED, "--", "--config=c", "--workdir=s4://b/run"), "--workdir=s4://b/run"),
        (("--pod=launch/pods/none.py", *TRAINING), "no such config file"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_run(launch, words, told):
    done = launch(*words)
    assert done.status == 2 and told in done.error and done.error.count("\n") == 1
    assert launch.cloud.calls() == []
