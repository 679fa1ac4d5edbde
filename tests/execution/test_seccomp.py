"""Compares the table of system calls with the kernel's headers, and simulates the filter."""

import re
from pathlib import Path

import pytest

from data_pipeline.execution.guest import seccomp

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
    assert decide("clone", 0x01200011) == "errno 1"  # fork
    assert decide("clone", flags | 0x10000000) == "errno 1"  # with a new user namespace
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
