"""Runs the warmed interpreter: forks once per sample, limits it, and returns its answer.

The worker runs no untrusted code itself and does not parse a sample's answer: it answers a request
with a message about the rows, followed by the bytes that the samples wrote. Sample processes hold
neither the control descriptor nor anything that outlives them.
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
)
from data_pipeline.execution.guest.messages import ANSWER, receive, send, write_all

SCRATCH = "/scratch"
CONTROL = 3  # descriptor of the control socket, set by `launch`
ASKS, ANSWERS = 41, 42  # descriptors of a sample's process, beside ANSWER
_PR_SET_PDEATHSIG = 1
_CHUNK = 1 << 16

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
    seccomp.prepare()
    gc.collect()
    gc.freeze()
    worker = Worker(options)
    send(CONTROL, {"ready": True, "pid": os.getpid(), "uid": os.getuid(), "python": sys.version})
    while (request := receive(CONTROL)) is not None:
        rows, answers = worker.serve(request)
        send(CONTROL, rows)
        write_all(CONTROL, b"".join(answers))


# ---- one sample


class SampleProcess:
    """A forked process and the pipes that the worker reads from it."""

    def __init__(self, pid: int, answer: int, output: int):
        self.pid = pid
        self.handle = os.pidfd_open(pid)
        self.pipes = {answer: bytearray(), output: bytearray()}
        self.answer, self.output = answer, output
        self.cpu_clock = ((~pid) << 3) | 2  # CLOCK_PROCESS_CPUTIME_ID of another process
        for descriptor in self.pipes:
            os.set_blocking(descriptor, False)

    def cpu(self) -> float:
        """Returns the CPU seconds used so far, or 0 once the process is reaped."""
        try:
            return _clock(self.cpu_clock)
        except OSError:
            return 0.0

    def drain(self, descriptor: int, room: int) -> bool:
        """Reads available bytes until the total passes `room`; returns whether the pipe is open."""
        into = self.pipes[descriptor]
        while len(into) <= room:
            try:
                part = os.read(descriptor, _CHUNK)
            except BlockingIOError:
                return True
            if not part:
                return False
            into += part
        return True

    def close(self) -> None:
        for descriptor in (*self.pipes, self.handle):
            os.close(descriptor)


class Worker:
    """Serves requests {"jobs", "limits", "stdin", "threads", "test", "stretches"}.

    Runs all jobs in one fork, and the rest in another after a job that ended it. A request that
    needs isolation has one job.

    limits:    cpu_seconds, wall_seconds (of each job), memory_bytes, output_bytes, answer_bytes
    stdin:     text or None
    test:      {"body", "entry"} or None
    stretches: number of times that the wall limit restarts for a job that used CPU time meanwhile
    """

    def __init__(self, options: Mapping[str, Any]):
        self.first_process = options["pid_namespace"]
        if self.first_process and os.getpid() != 1:
            raise RuntimeError("the worker must be the first process of its namespace")
        self.scratch = options["scratch_bytes"]
        self.address_space = address_space()
        self.libc = ctypes.CDLL(None, use_errno=True)

    def serve(self, request: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[bytes]]:
        """Runs a request and returns rows and the samples' answers.

        A row has "ended" (None, or what stopped the job), "stdout", "cpu" and "wall" (seconds),
        "peak" (bytes) and "size" (bytes of its answer).
        """
        pending = list(request["jobs"])
        rows: list[dict[str, Any]] = []
        answers: list[bytes] = []
        while pending:
            begun = self.run(pending, request, answers)
            rows.extend(begun)
            pending = pending[len(begun) :]
        if self.scratch and not _clean(SCRATCH):
            raise RuntimeError(
                "the scratch folder cannot be emptied"
            )  # a new worker gets a new one
        return rows, answers

    def run(
        self, pending: Sequence[Any], request: Mapping[str, Any], answers: list[bytes]
    ) -> list[dict[str, Any]]:
        """Runs jobs in one fork until it ends; returns the rows of those begun, at least one."""
        limits = request["limits"]
        started = _now()
        sample, partner = self.fork(pending, request)
        rows: list[dict[str, Any]] = []
        ended: list[Any] | None = None
        begun, cpu_before = started, 0.0
        window, cpu_at_window, stretches = started, 0.0, request.get("stretches", 0)
        watched = {sample.answer, sample.output, sample.handle}
        poll = select.poll()
        for descriptor in watched:
            poll.register(descriptor, select.POLLIN)
        poll.register(CONTROL, 0)  # reports only that the other end closed
        while ended is None and len(rows) < len(pending):
            cpu = max(sample.cpu(), partner.cpu() if partner else 0.0)
            cpu_left = limits["cpu_seconds"] - (cpu - cpu_before)
            wall_left = limits["wall_seconds"] - (_now() - window)
            if wall_left <= 0 and stretches and cpu - cpu_at_window > 0.01 * limits["wall_seconds"]:
                # The job computes, but the machine is busy, so its wall limit starts anew.
                window, cpu_at_window, stretches = _now(), cpu, stretches - 1
                continue
            if cpu_left <= 0:
                ended = ["limit", "cpu", f"{limits['cpu_seconds']:g} s"]
                break
            if wall_left <= 0:
                ended = ["limit", "wall", f"{limits['wall_seconds']:g} s"]
                break
            exited = False
            for descriptor, _ in poll.poll(1 + 1000 * min(max(cpu_left, 0.005), wall_left)):
                if descriptor == CONTROL:  # nobody waits for the answer
                    self.end(sample, partner)
                    os._exit(0)
                if descriptor == sample.handle:
                    exited = True
                    continue
                room = limits["output_bytes" if descriptor == sample.output else "answer_bytes"]
                if not sample.drain(descriptor, room):
                    poll.unregister(descriptor)
                if len(sample.pipes[descriptor]) > room:
                    what = "stdout" if descriptor == sample.output else "the result"
                    ended = ["limit", "output", f"{what} passed {room} bytes"]
            if exited:
                sample.drain(sample.answer, limits["answer_bytes"])
            while ended is None and (answer := _take(sample.pipes[sample.answer])) is not None:
                sample.drain(sample.output, limits["output_bytes"])
                cpu, now = sample.cpu(), _now()
                answers.append(answer)
                rows.append(self.row(sample, None, len(answer), cpu - cpu_before, now - begun))
                begun, cpu_before = now, cpu
                window, cpu_at_window = now, cpu
            if exited and ended is None and len(rows) < len(pending):
                ended = ["died", ""]
        wall = _now() - begun
        usage, status = self.end(sample, partner)
        cpu = usage.ru_utime + usage.ru_stime
        if ended is not None:
            if ended[0] == "died":
                ended[1] = _reason(status)
                if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
                    ended = ["limit", "cpu", f"{limits['cpu_seconds']:g} s"]
            sample.drain(sample.output, limits["output_bytes"])
            rows.append(self.row(sample, ended, 0, cpu - cpu_before, wall))
        elif len(rows) == 1:
            rows[0]["cpu"] = cpu
        for row in rows:
            row["peak"] = usage.ru_maxrss * 1024
        sample.close()
        return rows

    def row(
        self, sample: SampleProcess, ended: list[Any] | None, size: int, cpu: float, wall: float
    ) -> dict[str, Any]:
        output = sample.pipes[sample.output]
        text = bytes(output).decode("utf-8", "replace")
        output.clear()
        cpu = max(cpu, 0.0)
        return {"ended": ended, "size": size, "stdout": text, "cpu": cpu, "wall": wall, "peak": 0}

    # ---- processes

    def fork(
        self, pending: Sequence[Any], request: Mapping[str, Any]
    ) -> tuple[SampleProcess, "SampleProcess | None"]:
        """Forks the sample's process, and for a test also the program's process."""
        if request.get("test") is None:
            return self.spawn(request, lambda: self.answer_jobs(pending)), None
        asks, answers = os.pipe(), os.pipe()  # from the test's process to the program's, and back
        program = self.spawn(
            {**request, "stdin": None},
            lambda: proxies.serve(pending[0], ASKS, ANSWERS),
            {asks[0]: ASKS, answers[1]: ANSWERS, os.dup(1): 1},
        )
        test = self.spawn(
            request,
            lambda: send(ANSWER, proxies.run_test(request["test"], ANSWERS, ASKS)),
            {answers[0]: ANSWERS, asks[1]: ASKS},
        )
        return test, program

    def spawn(
        self,
        request: Mapping[str, Any],
        body: Callable[[], None],
        given: Mapping[int, int] | None = None,
    ) -> SampleProcess:
        """Forks a process that runs `body`; passes on the descriptors `given` (here -> there)."""
        answer, output = os.pipe(), os.pipe()
        stdin = _stdin(request.get("stdin"))
        ours = {stdin: 0, output[1]: 1, answer[1]: ANSWER} | dict(given or {})
        pid = os.fork()
        if pid == 0:
            try:
                self.become_sample(request, ours)
                body()
            finally:
                os._exit(70)
        for descriptor in ours:
            os.close(descriptor)
        return SampleProcess(pid, answer[0], output[0])

    def become_sample(self, request: Mapping[str, Any], descriptors: Mapping[int, int]) -> None:
        """Restricts this process to computing, reading, and writing to its pipes."""
        limits = request["limits"]
        os.dup2(1, 2)  # the worker's stdin and stdout are the null device
        for here, there in descriptors.items():
            os.dup2(here, there)
        kept = sorted(there for there in descriptors.values() if there > 2)
        for low, high in zip([2, *kept], [*kept, 256], strict=True):
            os.closerange(low + 1, high)
        cpu = int(limits["cpu_seconds"] * len(request["jobs"])) + 2  # applies if the worker dies
        for name, value in (
            (resource.RLIMIT_CPU, cpu),
            (resource.RLIMIT_AS, self.address_space + limits["memory_bytes"]),
            (resource.RLIMIT_FSIZE, self.scratch),
            (resource.RLIMIT_NPROC, 128 if request.get("threads") else 0),
            (resource.RLIMIT_NOFILE, 64),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(name, (value, value))
        self.libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        seccomp.apply(threads=bool(request.get("threads")), scratch=bool(self.scratch))

    def answer_jobs(self, pending: Sequence[Any]) -> None:
        run = jobs.run_job if len(pending) == 1 else jobs.run_batch_job
        for job in pending:
            answer = run(job)
            for stream in {sys.stdout, _stdout}:
                with contextlib.suppress(Exception):
                    stream.flush()
            send(ANSWER, answer)

    def end(self, sample: SampleProcess, partner: SampleProcess | None) -> tuple[Any, int]:
        """Kills and reaps the sample; returns its resource usage and wait status."""
        processes = [one for one in (sample, partner) if one is not None]
        with contextlib.suppress(ProcessLookupError):
            if self.first_process and os.getpid() == 1:
                os.kill(-1, signal.SIGKILL)
            else:  # a sample cannot fork, so it has no other processes
                for one in processes:
                    signal.pidfd_send_signal(one.handle, signal.SIGKILL)
        _, status, usage = os.wait4(sample.pid, 0)
        if partner is not None:
            os.wait4(partner.pid, 0)
            partner.close()
        return usage, status


# ---- parts

_stdout = sys.stdout


def _take(buffer: bytearray) -> bytes | None:
    """Removes a message's JSON from the front of `buffer`; returns None if it is incomplete."""
    if len(buffer) < 4:
        return None
    size = int.from_bytes(buffer[:4], "big")
    if len(buffer) < 4 + size:
        return None
    message = bytes(buffer[4 : 4 + size])
    del buffer[: 4 + size]
    return message


def _reason(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return f"killed by {signal.Signals(number).name}"
        except ValueError:
            return f"killed by signal {number}"
    return f"exit status {os.waitstatus_to_exitcode(status)} without a result"


def _stdin(text: str | None) -> int:
    if text is None:
        return os.dup(0)
    descriptor = os.memfd_create("stdin")
    write_all(descriptor, text.encode("utf-8", "surrogatepass"))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


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
