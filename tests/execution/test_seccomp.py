"""Compares the table of system calls with the kernel's headers, and simulates the filter."""

import re
from pathlib import Path

import pytest

from data_pipeline.execution.guest import seccomp
from data_pipeline.execution.outcomes import Value
from data_pipeline.execution.service import Setup
from tests.support.sandboxes import LIMITS, open_sandbox

_X86 = [Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm/unistd_64.h")]
_GENERIC = [Path("/usr/include/asm-generic/unistd.h")]
# Where the generic header (aarch64 follows it) names a call by its 64-bit form.
_RENAMED = {"newfstatat": "3264_fstatat", "fstat": "3264_fstat", "lseek": "3264_lseek",
            "mmap": "3264_mmap", "fcntl": "3264_fcntl", "truncate": "3264_truncate",
            "ftruncate": "3264_ftruncate"}  # fmt: skip


def header(paths: list[Path]) -> dict[str, int]:
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        pytest.skip("the kernel's headers are not installed (apt-get install linux-libc-dev)")
    found = re.findall(r"#define __NR(?:_|)(\w+)\s+(\d+)", path.read_text())
    return {name.lstrip("_"): int(number) for name, number in found}


@pytest.mark.parametrize(("column", "paths"), [(0, _X86), (1, _GENERIC)], ids=["x86_64", "aarch64"])
def test_numbers_are_the_kernels(column, paths):
    known = header(paths)
    for name, numbers in seccomp._NUMBERS.items():
        expected = known.get(name, known.get(_RENAMED.get(name, "")))
        if numbers[column] is None:
            assert expected is None, name
        else:
            assert numbers[column] == expected, name


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("scratch", [False, True])
@pytest.mark.parametrize("threads", [False, True])
def test_filter_decides_as_meant(machine, scratch, threads):
    """Runs the filter in a small BPF interpreter, written from the kernel's description."""
    column = 0 if machine == "x86_64" else 1
    code = seccomp._template(machine, threads, scratch)
    arch = seccomp._ARCHITECTURES[machine]

    def decide(name: str, *arguments: int, arch: int = arch) -> str:
        number = seccomp._NUMBERS[name][column]
        return decide_number(number, *arguments, arch=arch)

    def decide_number(number: int, *arguments: int, arch: int = arch) -> str:
        verdict = interpret(code, number, arch, [*arguments, *[0] * (6 - len(arguments))])
        return {0x7FFF0000: "allow", 0x80000000: "kill"}.get(verdict, f"errno {verdict & 0xFFFF}")

    own = seccomp._OWN_PROCESS
    assert decide("read", 0) == decide("write", 1) == decide("exit_group", 0) == "allow"
    if machine == "aarch64":
        for forbidden in (221, 220, 198, 203, 117, 40, 270, 271, 279, 280, 281, 425, 434):
            assert decide_number(forbidden) == "errno 1", forbidden
    if machine == "x86_64":
        for forbidden in (56, 57, 58, 59, 41, 42, 101, 165, 310, 311, 317, 321, 322, 425, 434):
            assert decide_number(forbidden) == "errno 1", forbidden
        assert decide_number(0x40000000) == decide_number(0x40000001) == "kill"
    assert decide("read", 0, arch=0x40000003) == "kill"  # i386's calls
    for name in ("kill", "tgkill", "tkill"):
        assert decide(name, own, 9) == "allow"
        for other in (1, 0, 0xFFFFFFFF, own + 1, own - 1):
            assert decide(name, other, 9) == "errno 1"
    assert decide("ioctl", 1, 0x5401) == "allow"
    assert decide("ioctl", 1, 0x5412) == "errno 1"  # TIOCSTI: typing into a terminal
    assert decide("socketpair", 1, 1) == "allow"
    assert decide("socketpair", 1, 2) == decide("socketpair", 2, 1) == "errno 1"
    assert decide("sendto", 5, 0, 0, 0, 0, 0) == "allow"
    assert decide("sendto", 5, 0, 0, 0, 0x7F0000001000, 16) == "errno 1"
    assert decide("sendto", 5, 0, 0, 0, 1 << 32, 16) == "errno 1"
    assert decide("prlimit64", 0) == decide("prlimit64", own) == "allow"
    assert decide("prlimit64", 1) == "errno 1"
    assert decide("clone3") == "errno 38"
    flags = 0x003D0F00  # what pthread_create asks for
    assert decide("clone", flags) == ("allow" if threads else "errno 1")
    assert decide("clone", flags | 0x00400000) == ("allow" if threads else "errno 1")  # musl's
    for more in (0x8000, 0x2000, 0x4000, 0x00800000, 0x1000, 0x80000000, 17):
        # CLONE_PARENT, PTRACE, VFORK, UNTRACED, PIDFD, IO, a signal at its end
        assert decide("clone", flags | more) == "errno 1", more
    assert decide("clone", 0x01200011) == "errno 1"  # fork
    assert decide("clone", flags | 0x10000000) == "errno 1"  # with a new user namespace
    for command in (0, 1, 2, 3, 1030, 1032, 1034):  # F_DUPFD to F_GETFL, F_DUPFD_CLOEXEC, ...
        assert decide("fcntl", 1, command) == "allow"
    assert decide("fcntl", 1, 4, 0o4000) == "allow"  # F_SETFL O_NONBLOCK
    assert decide("fcntl", 1, 4, 0o20000) == decide("fcntl", 1, 4, 0o24000) == "errno 1"  # O_ASYNC
    for command in (8, 9, 10, 11, 15, 16, 17, 1024, 1025, 1026, 1031, 1033, 1035, 1036):
        assert decide("fcntl", 1, command, 1) == "errno 1", command
    assert decide("fcntl", 1, 6) == decide("fcntl", 1, 37) == ("allow" if scratch else "errno 1")
    # FIOASYNC, FIOSETOWN, SIOCSPGRP, TIOCSPGRP, TIOCSCTTY, TIOCSIG, FIONWRITE's like
    for request in (0x5452, 0x8901, 0x8902, 0x5410, 0x540E, 0x40045436, 0x541D, 0x5423):
        assert decide("ioctl", 0, request) == "errno 1"
    for request in (0x5401, 0x541B, 0x5421, 0x5450, 0x5451):
        assert decide("ioctl", 0, request) == "allow"
    assert decide("madvise", 0, 0, 4) == decide("madvise", 0, 0, 14) == "allow"
    for advice in (12, 13, 100, 101, 10, 16, 20, 21):  # merging, memory errors, cold pages
        assert decide("madvise", 0, 0, advice) == "errno 1"
    assert decide("pipe2", 0, 0o2004000) == "allow" and decide("pipe2", 0, 0o200) == "errno 1"
    assert decide("sched_getaffinity", 0) == decide("sched_getaffinity", own) == "allow"
    assert decide("sched_getaffinity", 1) == "errno 1"
    assert decide("sendto", 5, 0, 0, 1, 0, 0) == "errno 1"  # MSG_OOB, for which SIGURG is sent
    x86 = {"prctl": 157, "arch_prctl": 158, "set_robust_list": 273, "membarrier": 324,
           "sched_setaffinity": 203, "sched_setscheduler": 144, "sched_setattr": 314,
           "setpriority": 141, "ioprio_set": 251, "timer_create": 222, "timerfd_create": 283,
           "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "pidfd_send_signal": 424,
           "mq_notify": 244, "io_setup": 206, "setpgid": 109, "setsid": 112, "signalfd4": 289,
           "sendmsg": 46, "setsockopt": 54, "vmsplice": 278, "process_madvise": 440,
           "kcmp": 312, "seccomp": 317, "mlock": 149, "fanotify_init": 300}  # fmt: skip
    if machine == "x86_64":
        assert {name: decide_number(number) for name, number in x86.items()} == dict.fromkeys(
            x86, "errno 1"
        )
    writing = "allow" if scratch else "errno 1"
    assert decide("openat", 0, 0, 0) == decide("openat", 0, 0, 0o2000000) == "allow"
    for how in (1, 2, 0o100, 0o1000, 0o2000, 0o20200000 | 2):
        assert decide("openat", 0, 0, how) == writing
    assert decide("unlinkat") == decide("mkdirat") == decide("symlinkat") == writing


def interpret(code: bytes, number: int, arch: int, arguments: list[int]) -> int:
    import struct

    data = struct.pack("<IIQ6Q", number, arch, 0, *arguments)
    accumulator, at = 0, 0
    while True:
        operation, if_true, if_false, operand = struct.unpack_from("<HBBI", code, 8 * at)
        at += 1
        if operation == 0x06:
            return operand
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif operation == 0x54:
            accumulator &= operand
        elif operation in (0x15, 0x35):
            holds = accumulator == operand if operation == 0x15 else accumulator >= operand
            at += if_true if holds else if_false
        else:
            raise AssertionError(f"operation {operation:#x}")


# A sample that would have the kernel signal its parent, by every way that takes an owner.
_SIGNALLING = """
import ctypes, fcntl, os, signal, socket, struct
def f():
    parent, done = os.getppid(), []
    def attempt(name, action):
        try:
            action()
            done.append(name)
        except (OSError, ValueError):
            pass
    ends = socket.socketpair()
    for descriptor in (0, 1, 40, *os.pipe(), *(end.fileno() for end in ends)):
        for who in (parent, -parent):
            attempt("F_SETOWN", lambda: fcntl.fcntl(descriptor, fcntl.F_SETOWN, who))
            attempt("FIOSETOWN", lambda: fcntl.ioctl(descriptor, 0x8901, struct.pack("i", who)))
            attempt("SIOCSPGRP", lambda: fcntl.ioctl(descriptor, 0x8902, struct.pack("i", who)))
            for kind in (0, 1, 2):
                owner = struct.pack("ii", kind, who)
                attempt("F_SETOWN_EX", lambda: fcntl.fcntl(descriptor, 15, owner))
        attempt("F_SETSIG", lambda: fcntl.fcntl(descriptor, 10, signal.SIGSTOP))
        attempt("O_ASYNC", lambda: fcntl.fcntl(descriptor, fcntl.F_SETFL, 0o20000))
        attempt("FIOASYNC", lambda: fcntl.ioctl(descriptor, 0x5452, struct.pack("i", 1)))
        attempt("F_SETLEASE", lambda: fcntl.fcntl(descriptor, fcntl.F_SETLEASE, 0))
        attempt("F_NOTIFY", lambda: fcntl.fcntl(descriptor, fcntl.F_NOTIFY, 1))
        attempt("TIOCSTI", lambda: fcntl.ioctl(descriptor, 0x5412, b"x"))
        attempt("F_SETPIPE_SZ", lambda: fcntl.fcntl(descriptor, 1031, 1 << 20))
    attempt("MSG_OOB", lambda: ends[0].send(b"x", socket.MSG_OOB))
    for number in (9, 18, 19, 23, 29):
        attempt("kill", lambda: os.kill(parent, number))
        attempt("killpg", lambda: os.killpg(os.getpgid(0), number))
    libc = ctypes.CDLL(None, use_errno=True)
    for name in ("prctl", "setpriority", "setpgid", "sched_setscheduler"):
        if getattr(libc, name)(1, 9, 0, 0, 0) == 0:
            done.append(name)
    return sorted(set(done))
"""


@pytest.mark.sandbox
@pytest.mark.parametrize("tier", ["A", "B"])
@pytest.mark.parametrize("threads", [False, True])
def test_no_way_to_signal_the_worker(tier, threads):
    """In tier B a SIGSTOP by way of F_SETOWN and F_SETSIG froze the worker."""
    with open_sandbox(tier=tier, workers=1, limits=LIMITS, setup=Setup(threads=threads)) as sandbox:
        for _ in range(2):
            result = sandbox.call(_SIGNALLING, "f()")
            assert (result.outcome, result.tries) == (Value(["l"]), 1)
