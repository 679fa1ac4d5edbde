"""Restricts a sample to a list of allowed system calls with a seccomp filter.

Writes the BPF program itself and installs it with ctypes, which needs no dependency. (libseccomp's
Python binding is a distribution package, not on PyPI, and would have to match each interpreter.)
A call that is not listed fails with EPERM; another architecture's calls kill the process.
Calls that do several things (fcntl, ioctl, clone, madvise, ...) are allowed by command: above all,
none may make the kernel signal another process (F_SETOWN, F_SETSIG, O_ASYNC, FIOASYNC), and none
may reach past the process: file leases and locks, pipe sizes, page merging.
Sources: the kernel's seccomp_filter.rst; arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h. Standard library only: runs inside the sandbox.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from typing import Any

PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, EQUAL, _GREATER_EQUAL, _AND, RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name -> (number on x86-64, number on aarch64); None if the architecture has no such call.
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "stat": (4, None),
    "lstat": (6, None), "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222),
    "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "ioctl": (16, 29),
    "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66), "access": (21, None),
    "pipe": (22, None), "select": (23, None), "sched_yield": (24, 124), "mremap": (25, 216),
    "madvise": (28, 233), "dup": (32, 23), "dup2": (33, None), "pause": (34, None),
    "nanosleep": (35, 101), "getitimer": (36, 102), "alarm": (37, None), "setitimer": (38, 103),
    "getpid": (39, 172), "sendto": (44, 206), "recvfrom": (45, 207), "shutdown": (48, 210),
    "socketpair": (53, 199), "getsockopt": (55, 209), "clone": (56, 220), "exit": (60, 93),
    "kill": (62, 129), "uname": (63, 160), "fcntl": (72, 25), "getcwd": (79, 17),
    "readlink": (89, None), "gettimeofday": (96, 169), "getrlimit": (97, 163),
    "getrusage": (98, 165), "sysinfo": (99, 179), "times": (100, 153), "getuid": (102, 174),
    "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177), "getppid": (110, 173),
    "getgroups": (115, 158), "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137),
    "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132), "gettid": (186, 178),
    "time": (201, None), "tkill": (200, 130), "futex": (202, 98), "sched_getaffinity": (204, 123),
    "getdents64": (217, 61), "set_tid_address": (218, 96), "restart_syscall": (219, 128),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115),
    "exit_group": (231, 94), "epoll_wait": (232, None), "epoll_ctl": (233, 21),
    "tgkill": (234, 131), "openat": (257, 56), "newfstatat": (262, 79), "readlinkat": (267, 78),
    "faccessat": (269, 48), "pselect6": (270, 72), "ppoll": (271, 73),
    "epoll_pwait": (281, 22), "eventfd2": (290, 19),
    "epoll_create1": (291, 20), "dup3": (292, 24), "pipe2": (293, 59), "prlimit64": (302, 261),
    "getrandom": (318, 278), "statx": (332, 291), "rseq": (334, 293), "clone3": (435, 435),
    "open": (2, None), "faccessat2": (439, 439), "set_mempolicy": (238, 237),
    # with a scratch folder only
    "rename": (82, None), "mkdir": (83, None), "rmdir": (84, None), "link": (86, None),
    "unlink": (87, None), "symlink": (88, None), "chmod": (90, None), "fchmod": (91, 52),
    "ftruncate": (77, 46), "truncate": (76, 45), "fsync": (74, 82), "pwrite64": (18, 68),
    "chdir": (80, 49), "fchdir": (81, 50), "mkdirat": (258, 34), "unlinkat": (263, 35),
    "renameat": (264, 38), "renameat2": (316, 276), "linkat": (265, 37), "symlinkat": (266, 36),
    "fchmodat": (268, 53), "utimensat": (280, 88), "umask": (95, 166), "flock": (73, 32),
    "fdatasync": (75, 83), "fallocate": (285, 47),
}  # fmt: skip

_SCRATCH_ONLY = """
    rename mkdir rmdir link unlink symlink chmod fchmod ftruncate truncate fsync pwrite64 chdir
    fchdir mkdirat unlinkat renameat renameat2 linkat symlinkat fchmodat utimensat umask flock
    fdatasync fallocate
""".split()  # noqa: SIM905
# Calls allowed under conditions, or refused as if the kernel were too old.
_SPECIAL = ("kill", "tkill", "tgkill", "ioctl", "socketpair", "sendto", "prlimit64", "clone",
            "clone3", "set_mempolicy", "open", "openat", "fcntl", "madvise", "pipe2",
            "sched_getaffinity")  # fmt: skip

_TERMINAL_QUERIES = (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, FIONREAD, FIONBIO, FIO*CLEX
_WRITING = (
    os.O_WRONLY
    | os.O_RDWR
    | os.O_CREAT
    | os.O_TRUNC
    | os.O_APPEND
    | (os.O_TMPFILE & ~os.O_DIRECTORY)
)
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ, F_GET_SEALS
_DESCRIPTOR_COMMANDS = (0, 1, 2, 3, 1030, 1032, 1034)
_LOCK_COMMANDS = (5, 6, 7, 36, 37, 38)  # F_GETLK, F_SETLK, F_SETLKW and their OFD forms
_SETFL, _O_ASYNC = 4, 0o20000
# MADV_NORMAL to DONTNEED, FREE, HUGEPAGE, NOHUGEPAGE, GUARD_INSTALL, GUARD_REMOVE
_ADVICE = (0, 1, 2, 3, 4, 8, 14, 15, 102, 103)
_PIPE_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK | os.O_DIRECT
_MSG_OOB = 1
_PTHREAD_FLAGS = 0x003D0F00  # what pthread_create asks for; musl adds the unused CLONE_DETACHED
_CLONE_DETACHED = 0x00400000
_AF_UNIX, _SOCK_STREAM = 1, 1


class Unsupported(OSError):
    """This machine has no seccomp filters or an architecture without a table here."""


class _Fields(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Program:
    """A BPF program in memory, as the kernel takes it."""

    def __init__(self, code: bytes):
        self.buffer = ctypes.create_string_buffer(code, len(code))
        self._fields = _Fields(len(code) // _SIZE, ctypes.addressof(self.buffer))

    def reference(self) -> Any:
        return ctypes.byref(self._fields)


def call_number(name: str) -> int:
    """Returns the number of a system call on this machine. Raises Unsupported."""
    machine = os.uname().machine
    number = _NUMBERS[name][0 if machine == "x86_64" else 1] if machine in _ARCHITECTURES else None
    if number is None:
        raise Unsupported(errno.ENOSYS, f"no seccomp table for {machine}")
    return number


_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Filter:
    """A filter that is ready to install, so that a sample's process has little to do.

    threads: whether the process may start threads. scratch: whether it may write files.
    Raises Unsupported.
    """

    def __init__(self, *, threads: bool = False, scratch: bool = False):
        machine = os.uname().machine
        if machine not in _ARCHITECTURES:
            raise Unsupported(errno.ENOSYS, f"no seccomp table for {machine}")
        code = _template(machine, threads, scratch)
        self._program = Program(code)
        own = struct.pack("<I", _OWN_PROCESS)
        operands = range(_SIZE - 4, len(code), _SIZE)
        self._own = [at for at in operands if code[at : at + 4] == own]

    def install(self) -> None:
        """Installs the filter on this process irrevocably. Raises Unsupported."""
        for at in self._own:
            struct.pack_into("<I", self._program.buffer, at, os.getpid())
        if _prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or _prctl(
            _PR_SET_SECCOMP, _MODE_FILTER, self._program.reference(), 0, 0
        ):
            code = ctypes.get_errno()
            raise Unsupported(code, f"seccomp: {os.strerror(code)}")


_SIZE = 8  # bytes of an instruction
_OWN_PROCESS = 0x7E57BEEF  # placeholder in the template for the process id


def _template(machine: str, threads: bool, scratch: bool) -> bytes:
    column = 0 if machine == "x86_64" else 1
    numbers = {name: pair[column] for name, pair in _NUMBERS.items() if pair[column] is not None}
    plain = sorted(
        number
        for name, number in numbers.items()
        if name not in _SPECIAL and (scratch or name not in _SCRATCH_ONLY) and number is not None
    )

    def statement(operation: int, operand: int) -> tuple[int, int, int, int]:
        return (operation, 0, 0, operand)

    def low(argument: int) -> tuple[int, int, int, int]:
        return statement(LOAD, _ARGUMENTS + 8 * argument)

    def high(argument: int) -> tuple[int, int, int, int]:
        return statement(LOAD, _ARGUMENTS + 8 * argument + 4)

    allow, refuse = statement(RETURN, ALLOW), statement(RETURN, _ERRNO | errno.EPERM)
    code = [
        statement(LOAD, _ARCH),
        (EQUAL, 1, 0, _ARCHITECTURES[machine]),
        statement(RETURN, _KILL_PROCESS),
        statement(LOAD, NUMBER),
    ]
    if machine == "x86_64":  # the x32 calls share the architecture and start here
        code += [(_GREATER_EQUAL, 0, 1, 0x40000000), statement(RETURN, _KILL_PROCESS)]

    def special(name: str, body: list[tuple[int, int, int, int]]) -> None:
        """Adds `body`, which decides on the call `name`; the accumulator holds the call number."""
        number = numbers.get(name)
        if number is not None:
            code.extend([(EQUAL, 0, len(body), number), *body])

    own = [low(0), (EQUAL, 0, 1, _OWN_PROCESS), allow, refuse]
    special("kill", own)
    special("tgkill", own)
    # tkill names a thread; without threads, the process is the only one.
    special("tkill", own)

    def one_of(argument: int, permitted: Iterable[int]) -> list[tuple[int, int, int, int]]:
        jumps = (jump for value in permitted for jump in ((EQUAL, 0, 1, value), allow))
        return [low(argument), *jumps]

    def only_bits(argument: int, mask: int) -> list[tuple[int, int, int, int]]:
        rest = [low(argument), statement(_AND, ~mask & 0xFFFFFFFF)]
        return [*rest, (EQUAL, 0, 1, 0), allow, refuse]

    special("ioctl", [*one_of(1, _TERMINAL_QUERIES), refuse])
    commands = _DESCRIPTOR_COMMANDS + (_LOCK_COMMANDS if scratch else ())
    setting = [low(2), statement(_AND, _O_ASYNC), (EQUAL, 0, 1, 0), allow, refuse]
    special("fcntl", [*one_of(1, commands), (EQUAL, 0, len(setting), _SETFL), *setting, refuse])
    special("madvise", [*one_of(2, _ADVICE), refuse])
    special("pipe2", only_bits(1, _PIPE_FLAGS))
    special("sched_getaffinity", [low(0), (EQUAL, 0, 1, 0), allow, *own[1:]])
    special(
        "socketpair",
        [
            low(0), (EQUAL, 1, 0, _AF_UNIX), refuse,
            low(1), statement(_AND, 0xF), (EQUAL, 0, 1, _SOCK_STREAM), allow, refuse,
        ],
    )  # fmt: skip
    special(  # without an address only: to the other end of a pair; no urgent data, which signals
        "sendto",
        [
            low(4), (EQUAL, 1, 0, 0), refuse, high(4), (EQUAL, 1, 0, 0), refuse,
            low(3), statement(_AND, _MSG_OOB), (EQUAL, 0, 1, 0), allow, refuse,
        ],
    )  # fmt: skip
    special("prlimit64", [low(0), (EQUAL, 0, 1, 0), allow, *own[1:]])
    for name, flags in (("open", 1), ("openat", 2)):  # read-only
        reading = [low(flags), statement(_AND, _WRITING), (EQUAL, 0, 1, 0), allow, refuse]
        special(name, [allow] if scratch else reading)
    if threads:
        special(
            "clone",
            [
                low(0), statement(_AND, ~_CLONE_DETACHED & 0xFFFFFFFF),
                (EQUAL, 0, 1, _PTHREAD_FLAGS), allow, refuse,
            ],
        )  # fmt: skip
    special("clone3", [statement(RETURN, _ERRNO | errno.ENOSYS)])  # libc then calls clone
    for first, last in _ranges(plain):
        if first == last:
            code += [(EQUAL, 0, 1, first), allow]
        else:
            code += [(_GREATER_EQUAL, 0, 2, first), (_GREATER_EQUAL, 1, 0, last + 1), allow]
    code.append(refuse)
    return assemble(code)


def assemble(code: Iterable[tuple[int, int, int, int]]) -> bytes:
    """Encodes instructions (operation, jump if true, jump if false, operand)."""
    return b"".join(struct.pack("<HBBI", *part) for part in code)


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Returns first and last of each run of successive numbers; the kernel tests each in turn."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
