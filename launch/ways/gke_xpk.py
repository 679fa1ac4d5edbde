"""Runs training on slices of a GKE cluster, as a workload of xpk.

xpk adds the working tree to the image with the environment (launch/Dockerfile), pushes it, and
makes a JobSet of it, whose pods are the workers of all slices. The cluster restarts the JobSet by
itself where a worker was lost or stopped after saving. Commands, flags and exit codes are those of
xpk 1.16 (https://github.com/AI-Hypercomputer/xpk, docs/usage) and of kubectl.
"""

import shlex
import time
from pathlib import Path

from launch.environment import WORKER
from launch.errors import CommandFailed, LaunchError
from launch.failures import explain
from launch.jobset import JobSet
from launch.patience import DELETIONS, ask_patiently
from launch.pod_config import GkeXpk, xpk_type
from launch.shell import Shell
from launch.ways import Leftover, Outcome, Training
from launch.ways.jobset_log import JobSetLog
from launch.working_tree import unpack

CONTAINER = "jax-tpu"  # xpk's name of the container that trains
# xpk restarts a workload for 42 and 127 to 255. 75: stopped after saving. 1: a worker whose peer
# was lost ends with an error; a real error is repeated too, within pod.max_restarts.
RESTARTED_STATUSES = "1,75"
MEANINGS = (
    (r"do(?:es)? not have an active account|[Rr]eauthentication|invalid_grant|"
     r"could not find default credentials|DefaultCredentialsError",
     "no credentials: gcloud auth login, and gcloud auth application-default login"),
    (r"requires one of .* permission|PERMISSION_DENIED|does not have permission|"
     r"Required .* permission",
     "no permission: the account needs roles/container.admin"),
    (r"code=404.*clusters/|[Nn]ot found: .*clusters/|No cluster named",
     "there is no such cluster"),
    (r"MANIFEST_UNKNOWN|NAME_UNKNOWN|manifest unknown|Failed to validate your docker image|"
     r"Failed to add script_dir to docker image|NotFound.*docker\.pkg\.dev",
     "the image is missing: docker build --file=launch/Dockerfile --tag=IMAGE . && docker push "
     "IMAGE"),
    (r"UNAUTHORIZED|DENIED|Failed to upload (?:docker|container) image|403 Forbidden",
     "the image cannot be pulled or pushed: gcloud auth configure-docker REGISTRY"),
    (r"is requesting \d+ chips but|requested .* (?:VMs|chips)|supports up to|cluster supports",
     "the cluster has fewer slices; take fewer, or run xpk cluster create with more"),
    (r"[Qq]uota|QUOTA_EXCEEDED|RESOURCE_EXHAUSTED", "no quota: ask for more, or take another zone"),
    (r"GCE_STOCKOUT|[Ii]nsufficient capacity|does not have enough resources",
     "no capacity in this zone now"),
    (r"`(\w+)` not installed", "xpk misses a program"),
)  # fmt: skip


class GkeXpkWay:
    """A workload, and the cluster if the pod config says so."""

    def __init__(self, pod: GkeXpk, shell: Shell):
        self._pod, self._shell = pod, shell
        self._jobset = JobSet(shell, pod.name, pod.namespace, CONTAINER)
        self._folder: Path | None = None  # the working tree, for the image
        self._has_cluster = self._has_workload = False  # ours, and not deleted yet
        self._found = False  # the workload was there before

    def check(self) -> None:
        self._shell.require("xpk", "it starts workloads on GKE: pip install xpk")
        self._shell.require("gcloud", "https://cloud.google.com/sdk/docs/install has it")
        self._shell.require("kubectl", "gcloud components install kubectl installs it")

    def announce(self) -> list[str]:
        pod = self._pod
        slices = f"{pod.slices} x {xpk_type(pod.place())}"
        work = f"GKE workload {pod.name} ({slices}) in cluster {pod.cluster}, {pod.zone}: deleted "
        lines = [f"{work}at the end; the cluster restarts it at most {pod.max_restarts} times"]
        if not pod.create_cluster:
            return [*lines, f"cluster {pod.cluster} exists, stays, and goes on costing as it does"]
        paid = "spot" if pod.spot else f"reservation {pod.reservation}" if pod.reservation else ""
        how = f"{paid or 'on demand'}; created before and deleted at the end"
        return [*lines, f"cluster {pod.cluster} with {slices} and xpk's CPU machines, {how}"]

    def create(self, *, reuse: bool = False) -> None:
        """Creates the cluster if asked to, and connects kubectl with it."""
        if self._pod.create_cluster and not self._has_cluster:
            self._has_cluster = not self._shell.dry_run
            self._xpk("cluster", "create", *self._cluster_words())
        self._gcloud(
            "get-credentials", self._pod.cluster, f"--location={self._find_location()}",
            *self._project(),
        )  # fmt: skip
        if self._shell.dry_run:
            return
        self._jobset.use_current_context()
        self._found = self._jobset.read_state() is not None
        if self._found and not reuse:
            raise LaunchError(
                f"workload {self._pod.name} exists in cluster {self._pod.cluster}; --reuse follows "
                f"it, another pod.name starts one beside it, and this deletes it: "
                f"{shlex.join(self._deletion())}"
            )
        self._has_workload = self._found

    def wait(self) -> None:
        """Does nothing: a workload waits in the cluster's queue."""

    def install(self, archive: Path) -> None:
        """Unpacks the working tree for the image; the cluster's machines have the rest."""
        self._folder = archive.parent / "working_tree"
        unpack(archive, self._folder)
        self._shell.say("xpk adds the working tree to the image and pushes it, which takes minutes")

    def start(self, training: Training) -> None:
        if self._found:
            self._found = False
            self._shell.say(f"workload {self._pod.name} is there")
            return
        if self._has_workload:  # of an earlier session, and ended
            self._delete_workload()
        words = self._workload_words(training)
        self._has_workload = not self._shell.dry_run
        self._xpk("workload", "create", *words)

    def follow(self, training: Training, logs: Path) -> Outcome:
        log = JobSetLog(self._pod, self._jobset, self._shell, logs)
        return log.show_commands() if self._shell.dry_run else log.follow()

    def stop(self, training: Training) -> None:
        """Says what happens: deleting the workload is what asks training to save."""
        seconds = f"{self._pod.stop_seconds:g} s"
        self._shell.say(f"a workload stops when it is deleted, and then has {seconds} to save")

    def delete(self) -> None:
        if self._shell.dry_run:
            self._xpk(*self._deletion()[1:])
        elif self._has_workload:
            self._delete_workload()
        if (self._shell.dry_run and self._pod.create_cluster) or self._has_cluster:
            if self._shell.dry_run or self._list_locations():
                self._xpk("cluster", "delete", *self._place(), "--force")
            self._has_cluster = False

    def leftover(self) -> Leftover | None:
        cluster = shlex.join(["xpk", "cluster", "delete", *self._place(), "--force"])
        if self._has_cluster:
            return Leftover(f"cluster {self._pod.cluster} and all in it", cluster)
        if self._has_workload:
            return Leftover(f"workload {self._pod.name}", shlex.join(self._deletion()))
        return None

    def _delete_workload(self) -> None:
        """Deletes the workload if it is there, and waits until it is gone."""
        deadline = time.monotonic() + self._pod.stop_seconds + 60
        ask_patiently(
            self._ask_for_deletion, self._shell, attempts=DELETIONS, seconds=self._pod.poll_seconds
        )
        while self._jobset.read_state() is not None:
            if time.monotonic() > deadline:
                raise LaunchError(f"workload {self._pod.name} was deleted, and is still there")
            time.sleep(min(self._pod.poll_seconds, 2.0))
        self._has_workload = False

    def _ask_for_deletion(self) -> None:
        if self._jobset.read_state() is not None:
            self._xpk(*self._deletion()[1:])

    def _deletion(self) -> list[str]:
        return [
            "xpk", "workload", "delete", f"--workload={self._pod.name}", *self._place(),
            *self._namespace(),
        ]  # fmt: skip

    def _cluster_words(self) -> list[str]:
        pod = self._pod
        paid = "--spot" if pod.spot else f"--reservation={pod.reservation}"
        return [
            *self._place(),
            f"--tpu-type={xpk_type(pod.place())}",
            f"--num-slices={pod.slices}",
            paid if pod.spot or pod.reservation else "--on-demand",
        ]

    def _workload_words(self, training: Training) -> list[str]:
        pod = self._pod
        return [
            f"--workload={pod.name}",
            *self._place(),
            *self._namespace(),
            f"--tpu-type={xpk_type(pod.place())}",
            f"--num-slices={pod.slices}",
            f"--base-docker-image={pod.image}",
            f"--script-dir={self._folder}",
            f"--priority={pod.priority}",
            f"--max-restarts={pod.max_restarts}",
            f"--restart-on-exit-codes={RESTARTED_STATUSES}",
            f"--termination-grace-period-seconds={pod.stop_seconds:.0f}",
            *(f"--storage={name}" for name in pod.storages),
            *(f"--env={name}={value}" for name, value in sorted(pod.variables.items())),
            f"--command={self._command(training)}",
        ]

    def _command(self, training: Training) -> str:
        """Returns the command of each worker; exec, so that SIGTERM reaches training itself."""
        worker = shlex.join(("python", *WORKER, *training.arguments))
        command = " && ".join([*self._pod.setup, f"exec {worker}"])
        if "\n" in command:
            raise LaunchError("arguments of training have several lines, which xpk does not take")
        return command

    def _xpk(self, *words: str) -> None:
        try:
            self._shell.run("xpk", *words)
        except CommandFailed as error:
            name = self._pod.cluster if words[0] == "cluster" else self._pod.name
            raise explain(error, MEANINGS, f"xpk {words[0]} {words[1]} {name}") from None

    def _gcloud(self, *words: str) -> None:
        try:
            self._shell.run("gcloud", "container", "clusters", *words)
        except CommandFailed as error:
            raise self._explain_gcloud(error) from None

    def _find_location(self) -> str:
        """Returns the cluster's region or zone. Raises LaunchError if there is no such cluster."""
        region = self._pod.zone.rpartition("-")[0]
        if self._shell.dry_run:
            return region
        listed = self._list_locations()
        for location in (self._pod.zone, region):
            if location in listed:
                return location
        raise LaunchError(
            f"there is no cluster {self._pod.cluster} in {self._pod.zone} or {region}; "
            f"--pod.create_cluster=True creates it, and deletes it at the end"
        )

    def _list_locations(self) -> list[str]:
        """Returns regions and zones that have a cluster of the name."""
        name = f"--filter=name={self._pod.cluster}"
        words = ("list", name, "--format=value(location)", *self._project())
        try:
            return self._shell.ask("gcloud", "container", "clusters", *words).split()
        except CommandFailed as error:
            raise self._explain_gcloud(error) from None

    def _explain_gcloud(self, error: CommandFailed) -> LaunchError:
        return explain(error, MEANINGS, f"cluster {self._pod.cluster}")

    def _place(self) -> list[str]:
        return [f"--cluster={self._pod.cluster}", f"--zone={self._pod.zone}", *self._project()]

    def _project(self) -> list[str]:
        return [f"--project={self._pod.project}"] if self._pod.project else []

    def _namespace(self) -> list[str]:
        return [] if self._pod.namespace == "default" else [f"--namespace={self._pod.namespace}"]
