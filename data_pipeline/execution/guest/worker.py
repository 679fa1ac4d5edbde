"""Runs the warmed interpreter: forks once per sample, limits it, and reports how it ended.

The worker runs no untrusted code and never holds what belongs to a sample: a sample's process reads
its request from a descriptor of its own and writes output and answer straight to the host's pipes.
So a later sample, whose memory is a copy of the worker's, finds nothing of an earlier one.
Sample processes hold neither the control descriptor nor anything that outlives them.
Standard library only: runs inside the sandbox.
"""

import contextlib
import ctypes
import gc
import mmap
import os
import resource
import select
import signal
import site
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from data_pipeline.execution.guest import (
    determinism,
    jobs,
    landlock,
    proxies,
    seccomp,  # takes the clock before it is replaced
    thread_limit,
)
from data_pipeline.execution.guest.batch import Batch
from data_pipeline.execution.guest.messages import (
    ANSWER,
    HEAD,
    read_exactly,
    receive,
    receive_body,
    send,
)
from data_pipeline.execution.guest.thread_limit import ThreadLimit

SCRATCH = "/scratch"
CONTROL = 3  # descriptor of the control socket, set by `launch`
REQUEST, ASKS, ANSWERS = 41, 42, 43  # descriptors of a sample's process, beside ANSWER
MAX_THREADS = 128  # of a sample that may start threads
_MAX_ORDER = 1 << 16  # bytes of an order
_PR_SET_PDEATHSIG = 1

# Saved before `determinism` replaces the clock.
_now = time.monotonic
_clock = time.clock_gettime

WARM = """
    abc array ast base64 bisect builtins calendar cmath collections collections.abc contextlib
    copy csv dataclasses datetime decimal enum fractions functools hashlib heapq html inspect io
    itertools json keyword locale math numbers operator os pprint queue random re secrets
    statistics string struct sys textwrap threading time traceback types typing unicodedata uuid
    warnings weakref zlib
""".split()  # noqa: SIM905


def main(options: Mapping[str, Any]) -> None:
    """Serves until the control descriptor closes. options: see `tiers.options`."""
    for name in WARM:
        __import__(name)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    site.setquit()
    sys.path[:] = [entry for entry in sys.path if entry] + options["packages"]
    sys.argv = ["program.py"]
    for name in options["preload"]:
        __import__(name)
    determinism.install(options["threads"])
    if options["landlock"]:
        landlock.restrict(options["readable"])
    os.umask(0o077)
    worker = Worker(options)
    gc.collect()
    gc.freeze()
    send(CONTROL, {"uid": os.getuid()})
    control = socket.socket(fileno=CONTROL)
    while (received := receive_order(control)) is not None:
        order, descriptors = received
        if "end" not in order:  # which comes too late for a sample that ended
            send(CONTROL, worker.serve(order, descriptors))


def receive_order(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Returns the host's next order and the descriptors it brings; None if the host closed."""
    head, descriptors, _, _ = socket.recv_fds(control, HEAD, 8)
    if head and len(head) < HEAD:
        rest = read_exactly(CONTROL, HEAD - len(head))
        head = head + rest if rest is not None else b""
    order = receive_body(CONTROL, head, _MAX_ORDER) if head else None
    return None if order is None else (order, descriptors)


# ---- one sample


class SampleProcess:
    """A forked process that runs a sample's code."""

    def __init__(self, pid: int, threads: ThreadLimit | None):
        self.pid = pid
        self.threads = threads
        self.handle = os.pidfd_open(pid)
        self.cpu_clock = ((~pid) << 3) | 2  # CLOCK_PROCESS_CPUTIME_ID of another process

    def cpu(self) -> float:
        """Returns the CPU seconds used so far, or 0 once the process is reaped."""
        try:
            return _clock(self.cpu_clock)
        except OSError:
            return 0.0

    def reap(self) -> tuple[Any, int]:
        """Returns its resource usage and wait status; it must have ended or been killed."""
        _, status, usage = os.wait4(self.pid, 0)
        os.close(self.handle)
        if self.threads is not None:
            self.threads.close()
        return usage, status


class Worker:
    """Serves orders {"number", "limits", "test", "stretches"} with descriptors.

    limits:      cpu_seconds, wall_seconds, memory_bytes
    test:        whether the sample is a test and its program, in two processes
    stretches:   number of times that the wall limit restarts for a sample that used CPU time
    descriptors: the null device, stdin, output, answer and request, all of this sample alone; then,
                 with a test, the program's request
    """

    def __init__(self, options: Mapping[str, Any]):
        self.first_process = options["pid_namespace"]
        if self.first_process and os.getpid() != 1:
            raise RuntimeError("the worker must be the first process of its namespace")
        self.scratch = options["scratch_bytes"]
        self.threads = options["threads"]
        self.most_processes = options["tasks"] + MAX_THREADS if self.threads else 0
        self.filter = seccomp.Filter(threads=self.threads, scratch=bool(self.scratch))
        self.address_space = address_space()
        self.libc = ctypes.CDLL(None, use_errno=True)

    def serve(self, order: Mapping[str, Any], descriptors: Sequence[int]) -> dict[str, Any]:
        """Runs a sample and returns its row.

        A row has "ended" (None, or what stopped the sample), "reason" (how the process ended),
        "cpu" and "wall" (seconds) and "peak" (bytes).
        """
        started = _now()
        processes = self.fork(order, descriptors)
        ended = self.watch(processes, order)
        wall = _now() - started
        self.kill(processes)
        (usage, status), *others = [process.reap() for process in processes]
        if ended is None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
            ended = ["limit", "cpu", f"{order['limits']['cpu_seconds']:g} s"]
        if self.scratch and not self.clean_scratch():
            raise RuntimeError("the scratch folder cannot be emptied")  # a new worker has its own
        used = [usage, *(other for other, _ in others)]
        return {
            "ended": ended,
            "reason": _reason(status),
            "cpu": sum(one.ru_utime + one.ru_stime for one in used),
            "wall": wall,
            "peak": max(one.ru_maxrss for one in used) * 1024,
        }

    def watch(
        self, processes: Sequence[SampleProcess], order: Mapping[str, Any]
    ) -> list[str] | None:
        """Waits for the first process; returns None if it ended, or why it must be killed."""
        limits = order["limits"]
        window, cpu_at_window, stretches = _now(), 0.0, order["stretches"]
        poll = select.poll()
        poll.register(processes[0].handle, select.POLLIN)
        poll.register(CONTROL, select.POLLIN)
        asking = {one.threads.listener: one.threads for one in processes if one.threads is not None}
        for listener in asking:
            poll.register(listener, select.POLLIN)
        while True:
            cpu = max(process.cpu() for process in processes)
            cpu_left = limits["cpu_seconds"] - cpu
            wall_left = limits["wall_seconds"] - (_now() - window)
            if wall_left <= 0 and stretches and cpu - cpu_at_window > 0.01 * limits["wall_seconds"]:
                # It computes, but the machine is busy, so its wall limit starts anew.
                window, cpu_at_window, stretches = _now(), cpu, stretches - 1
                continue
            if cpu_left <= 0:
                return ["limit", "cpu", f"{limits['cpu_seconds']:g} s"]
            if wall_left <= 0:
                return ["limit", "wall", f"{limits['wall_seconds']:g} s"]
            patience = 1 + 1000 * min(max(cpu_left, 0.005), wall_left)
            for descriptor, event in poll.poll(patience):
                if descriptor in asking:
                    if event & select.POLLIN:
                        asking[descriptor].answer()
                    else:  # its process ended
                        poll.unregister(descriptor)
                    continue
                if descriptor != CONTROL:
                    return None
                told = receive(CONTROL, _MAX_ORDER)
                if told is None:  # nobody waits for the answer
                    self.kill(processes)
                    os._exit(0)
                if told["end"] == order["number"]:
                    return ["end"]

    # ---- processes

    def fork(self, order: Mapping[str, Any], descriptors: Sequence[int]) -> list[SampleProcess]:
        """Forks the sample's process, and for a test also the program's; takes the descriptors."""
        null, stdin, output, answer, request, *program = descriptors
        given = {null: 2, stdin: 0, output: 1, answer: ANSWER, request: REQUEST}
        try:
            if not order["test"]:
                return [self.spawn(order, given, answer_job)]
            asks, answers = os.pipe(), os.pipe()  # from test to program, and back
            descriptors = [*descriptors, *asks, *answers]
            given |= {answers[0]: ANSWERS, asks[1]: ASKS}
            theirs = {program[0]: REQUEST, asks[0]: ASKS, answers[1]: ANSWERS}
            serving = self.spawn(order, {null: 2} | theirs, answer_calls)
            return [self.spawn(order, given, answer_test), serving]
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def spawn(
        self, order: Mapping[str, Any], given: Mapping[int, int], body: Callable[[], None]
    ) -> SampleProcess:
        """Forks a process that runs `body`; passes on the descriptors `given` (here -> there)."""
        ours, theirs = socket.socketpair() if self.threads else (None, None)
        pid = os.fork()
        if pid == 0:
            try:
                counted = theirs is not None and thread_limit.install(theirs)
                self.become_sample(order["limits"], given, counted)
                body()
            finally:
                os._exit(70)
        if ours is None or theirs is None:
            return SampleProcess(pid, None)
        theirs.close()
        with ours:
            return SampleProcess(pid, thread_limit.receive(ours, MAX_THREADS))

    def become_sample(
        self, limits: Mapping[str, Any], descriptors: Mapping[int, int], counted: bool
    ) -> None:
        """Restricts this process to computing, reading, and writing to its pipes.

        counted: whether the worker counts its threads, so that no limit for the uid is needed
        """
        for here, there in descriptors.items():
            os.dup2(here, there)
        if 0 not in descriptors.values():  # not the worker's own: the next sample would share them
            os.dup2(2, 0)
            os.dup2(2, 1)
        kept = sorted(there for there in descriptors.values() if there > 2)
        for low, high in zip([2, *kept], [*kept, 256], strict=True):
            os.closerange(low + 1, high)
        cpu = int(limits["cpu_seconds"]) + 2  # applies if the worker dies
        for name, value in (
            (resource.RLIMIT_CPU, cpu),
            (resource.RLIMIT_AS, self.address_space + limits["memory_bytes"]),
            (resource.RLIMIT_FSIZE, self.scratch),
            (resource.RLIMIT_NOFILE, 64),
            (resource.RLIMIT_CORE, 0),
            *([] if counted else [(resource.RLIMIT_NPROC, self.most_processes)]),
        ):
            resource.setrlimit(name, (value, value))
        self.libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        self.filter.install()

    def kill(self, processes: Sequence[SampleProcess]) -> None:
        for process in processes:  # a sample cannot fork, so there are no others
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process.handle, signal.SIGKILL)
        if self.first_process and os.getpid() == 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)

    def clean_scratch(self) -> bool:
        """Empties the scratch folder; returns False if it holds too much.

        A process of its own does it, because a sample can write its secrets as names of files.
        """
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(0 if _clean(SCRATCH) else 1)
            finally:
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        return status == 0


def answer_job() -> None:
    """Runs the job of the request and sends its answer, in the sample's process."""
    request = _take_request()
    if request["mode"] == "batch":
        batch = Batch(request)
        for job in batch.jobs():  # here, because a program may see how deep its stack begins
            if not batch.send_answer(jobs.run_job(job)):
                break
        return
    answer = jobs.run_job(request)
    for stream in (sys.stdout, _stdout):
        with contextlib.suppress(BaseException):
            stream.flush()
    send(ANSWER, answer)


def answer_test() -> None:
    """Runs the test of the request and sends its outcome, in the test's process."""
    send(ANSWER, proxies.run_test(_take_request(), ANSWERS, ASKS))


def answer_calls() -> None:
    """Loads the program of the request and answers the test's calls, in the program's process."""
    proxies.serve(_take_request(), ASKS, ANSWERS)


def _take_request() -> Any:
    """Reads the request; the garbage collector never looks at its many lists."""
    gc.disable()
    request = receive(REQUEST)
    os.close(REQUEST)
    gc.freeze()
    gc.enable()
    return request


# ---- parts

_stdout = sys.stdout


def _reason(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return f"killed by {signal.Signals(number).name}"
        except ValueError:
            return f"killed by signal {number}"
    return f"exit status {os.waitstatus_to_exitcode(status)} without a result"


def address_space() -> int:
    """Measures the address space in use, in bytes, without /proc: by the least limit for mmap."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    low, high = 0, 1 << 40
    while high - low > 1 << 16:
        middle = (low + high) // 2
        resource.setrlimit(resource.RLIMIT_AS, (middle, hard))
        try:
            mmap.mmap(-1, 4096).close()
            high = middle
        except (OSError, MemoryError):
            low = middle
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    return high


def _clean(folder: str, most: int = 2000) -> bool:
    """Empties the scratch folder, which no process uses; returns False if it holds too much."""
    for root, folders, files, handle in os.fwalk(folder, topdown=False, follow_symlinks=False):
        if len(files) + len(folders) > most or root.count("/") > 50:
            return False
        for name in files:
            os.unlink(name, dir_fd=handle)
        for name in folders:
            try:
                os.rmdir(name, dir_fd=handle)
            except NotADirectoryError:  # a link to a folder
                os.unlink(name, dir_fd=handle)
    return True
