"""Installs and runs training on TPU VMs over ssh; for every way whose machines are TPU VMs.

A node is a slice; each of its hosts is a worker. Commands that end soon run on all workers of a
node at once (`--worker=all`). Training runs detached on each worker, and one connection a worker
brings its log.
"""

import abc
import dataclasses
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from data_pipeline.terminal.command_line import USER_MISTAKE
from launch import environment
from launch.errors import MachineLost
from launch.gcloud import CloudError, Gcloud
from launch.pod_config import ExistingSlice, Pod, QueuedResource
from launch.shell import Following, Shell, print_bytes
from launch.ways import End, Outcome, Training, describe_statuses
from launch.worker_log import WorkerLog

ARCHIVE = "semcoder-jax.tar.gz"
_TICK = 0.2  # seconds
_MOST_ATTEMPTS = 3  # of a command that ssh does not bring to a worker
_MOST_RECONNECTIONS = 10  # in a row, without a byte of the log between
# A dead host sends nothing; without this ssh waits for hours.
_ALIVE = ("--ssh-flag=-oServerAliveInterval=30", "--ssh-flag=-oServerAliveCountMax=4")


@dataclasses.dataclass
class _Worker:
    """A worker that is followed."""

    node: str
    index: int
    log: WorkerLog
    connection: Following | None = None
    reconnections: int = 0
    size_before: int = 0

    @property
    def name(self) -> str:
        return f"{self.node} worker {self.index}"

    def is_heard(self) -> bool:
        """Whether its connection may still bring something."""
        return self.connection is not None and self.connection.status() is None


class _Since:
    """Measures how long a condition has held."""

    def __init__(self):
        self._began: float | None = None

    def lasts(self, holds: bool, seconds: float) -> bool:
        """Whether it has held for `seconds`, asked again and again."""
        if not holds:
            self._began = None
            return False
        self._began = self._began or time.monotonic()
        return time.monotonic() - self._began >= seconds


class TpuVms:
    """The workers of one or more nodes.

    `find_loss` says why the machines are gone, or None; it is called every poll_seconds and after
    every connection that ends early. If it fails for a while, nothing is taken for lost.
    """

    def __init__(
        self,
        pod: Pod,
        shell: Shell,
        gcloud: Gcloud,
        nodes: Sequence[str],
        find_loss: Callable[[], str | None],
    ):
        self._pod, self._shell, self._gcloud = pod, shell, gcloud
        self._nodes, self._ask_for_loss = nodes, find_loss

    def install(self, archive: Path) -> None:
        """Copies the archive to all workers, unpacks and installs it."""
        for command in environment.commands_before_copy(self._pod):
            self.run_on_all(command)
        self._on_nodes(
            lambda node: self._gcloud.run(
                "tpu-vm", "scp", str(archive), f"{node}:{ARCHIVE}", "--worker=all"
            )
        )
        for command in environment.installation_commands(self._pod, ARCHIVE):
            self.run_on_all(command)

    def start(self, training: Training) -> None:
        self.run_on_all(self._detached("start", training, environment.worker_command(training)))

    def stop(self, training: Training) -> None:
        seconds = f"--seconds={self._pod.stop_seconds:g}"
        self.run_on_all(self._detached("stop", training, flags=[seconds]))

    def run_on_all(self, command: str) -> None:
        """Runs a shell command on all workers of all nodes. Raises CloudError or MachineLost."""
        self._on_nodes(
            lambda node: self._gcloud.run(
                "tpu-vm", "ssh", node, "--worker=all", f"--command={command}"
            )
        )

    def follow(self, training: Training, logs: Path) -> Outcome:
        """Follows all workers until they end or are lost."""
        if self._shell.dry_run:
            for node in self._nodes:
                self._shell.say(f"+ {shlex.join(self._follow_argv(training, node, 0, 0))}")
            self._shell.say("  (one such connection a worker)")
            return Outcome(End.FINISHED, "a dry run")
        workers = list(self._find_workers(logs))
        try:
            return self._watch(training, workers)
        finally:
            for worker in workers:
                if worker.connection:
                    worker.connection.end()

    def _find_workers(self, logs: Path) -> Iterator[_Worker]:
        logs.mkdir(parents=True, exist_ok=True)
        for number, node in enumerate(self._nodes):
            described = self._gcloud.describe("tpu-vm", node)
            if described is None:
                raise MachineLost(self._find_loss() or f"{node} does not exist any more")
            prefix = f"{node}-" if len(self._nodes) > 1 else ""
            for index in range(max(1, len(described.get("networkEndpoints", ())))):
                show = print_bytes if number == index == 0 else None
                yield _Worker(node, index, WorkerLog(logs / f"{prefix}worker{index}.log", show))

    def _watch(self, training: Training, workers: list[_Worker]) -> Outcome:
        last_question = time.monotonic()
        loss, failed, lost = None, _Since(), _Since()
        while True:
            now = time.monotonic()
            for worker in workers:
                loss = loss or self._keep_connected(training, worker)
            if all(worker.log.status is not None for worker in workers):
                return self._judge(workers)
            if failed.lasts(any(worker.log.status for worker in workers), self._pod.stop_seconds):
                self.stop(training)  # the others wait for the one that failed
                failed = _Since()
            if loss is None and now - last_question > self._pod.poll_seconds:
                last_question, loss = now, self._find_loss()
            ended = not any(worker.is_heard() for worker in workers)
            # Deleting the machines now would cut short the time that training has to save.
            if lost.lasts(loss is not None, 0 if ended else self._pod.stop_seconds):
                return Outcome(End.LOST, loss)
            time.sleep(_TICK)

    def _keep_connected(self, training: Training, worker: _Worker) -> str | None:
        """Connects a worker that has no connection; its command may go on without one.

        Returns why its machine is lost, or None.
        """
        if worker.is_heard() or worker.log.status is not None:  # in this order: it comes last
            return None
        if worker.connection is not None and (loss := self._after_disconnection(worker)):
            return loss
        worker.size_before = worker.log.size
        argv = self._follow_argv(training, worker.node, worker.index, worker.log.size)
        worker.connection = self._shell.follow(argv, worker.log.take_line)
        return None

    def _after_disconnection(self, worker: _Worker) -> str | None:
        """Returns why the machine is lost, or None after a pause if it is there."""
        reason = worker.connection.errors() or "no reason"
        if loss := self._find_loss():
            return loss
        moved = worker.log.size > worker.size_before
        worker.reconnections = 1 if moved else worker.reconnections + 1
        if worker.reconnections > _MOST_RECONNECTIONS:
            return f"{worker.name} cannot be reached any more ({reason})"
        self._shell.say(f"{worker.name}: connection lost ({reason}); connecting again")
        time.sleep(min(self._pod.poll_seconds, 2.0 ** (worker.reconnections - 1)))
        return None

    def _judge(self, workers: list[_Worker]) -> Outcome:
        statuses = [(worker.name, worker.log.status) for worker in workers]
        ends = {status for _, status in statuses}
        if USER_MISTAKE in ends:
            refused = next(worker for worker in workers if worker.log.status == USER_MISTAKE)
            return Outcome(End.REFUSED, refused.log.last_error() or "see its log")
        if ends == {0}:
            return Outcome(End.FINISHED, "all workers have finished")
        if loss := self._find_loss():
            return Outcome(End.LOST, loss)
        if ends <= {0, environment.STOPPED}:
            return Outcome(End.STOPPED, "training saved and stopped")
        failed = next(
            worker for worker in workers if worker.log.status not in (0, environment.STOPPED)
        )
        last = failed.log.last_error()
        return Outcome(End.CRASHED, describe_statuses(statuses) + (f": {last}" if last else ""))

    def _follow_argv(self, training: Training, node: str, worker: int, skip: int) -> Sequence[str]:
        command = self._detached("follow", training, flags=[f"--skip={skip}"])
        return self._gcloud.argv(
            "tpu-vm", "ssh", node, f"--worker={worker}", *_ALIVE, f"--command={command}"
        )

    def _detached(
        self,
        action: str,
        training: Training,
        command: Sequence[str] = (),
        flags: Sequence[str] = (),
    ) -> str:
        words = [
            environment.PYTHON, "-m", "launch.detached", action, training.run, *flags,
            *(["--", *command] if command else []),
        ]  # fmt: skip
        variables = environment.variables(self._pod) if command else ""
        return f"cd {shlex.quote(self._pod.directory)} && {variables}{shlex.join(words)}"

    def _find_loss(self) -> str | None:
        try:
            return self._ask_for_loss()
        except CloudError as error:
            self._shell.say(f"the state of the machines is not known now: {error}")
            return None

    def _on_nodes(self, act: Callable[[str], object]) -> None:
        """Acts on all nodes at once, again if ssh does not reach one: new machines take a while.

        Raises MachineLost for a failure on a machine that is lost.
        """
        for attempt in range(1, _MOST_ATTEMPTS + 1):
            try:
                self._on_nodes_once(act)
                return
            except CloudError as error:
                if loss := self._find_loss():
                    raise MachineLost(loss) from None
                if error.cause != "ssh" or attempt == _MOST_ATTEMPTS:
                    raise
                self._shell.say(f"{error}; trying again")
                time.sleep(self._pod.poll_seconds)

    def _on_nodes_once(self, act: Callable[[str], object]) -> None:
        if self._shell.dry_run or len(self._nodes) == 1:
            for node in self._nodes:
                act(node)
            return
        with ThreadPoolExecutor(len(self._nodes)) as pool:
            list(pool.map(act, self._nodes))


class TpuVmWay(abc.ABC):
    """A way whose machines are TPU VMs: all of `launch.ways.Way` but how to get and delete them."""

    def __init__(self, pod: ExistingSlice | QueuedResource, shell: Shell, nodes: Sequence[str]):
        self._pod, self._shell, self._nodes = pod, shell, nodes
        self._gcloud = Gcloud(shell, pod.zone, pod.project, pod.ssh_flags)
        self._machines = TpuVms(pod, shell, self._gcloud, nodes, self._find_loss)

    @abc.abstractmethod
    def _find_loss(self) -> str | None:
        """Returns why the machines are gone, or None."""

    def check(self) -> None:
        self._gcloud.check()

    def install(self, archive: Path) -> None:
        self._machines.install(archive)

    def start(self, training: Training) -> None:
        self._machines.start(training)

    def follow(self, training: Training, logs: Path) -> Outcome:
        return self._machines.follow(training, logs)

    def stop(self, training: Training) -> None:
        self._machines.stop(training)
