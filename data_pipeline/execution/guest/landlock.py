"""Restricts file access with Landlock, which needs no privileges (Linux 5.13 or newer).

System call numbers are the same on every architecture. Source: the kernel's
Documentation/userspace-api/landlock.rst. Uses ctypes, because the sandbox contains only the
standard library.
"""

import ctypes
import os
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PR_SET_NO_NEW_PRIVS = 38
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FS_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET_RIGHTS = 3  # bind and connect TCP, from ABI 4
_SCOPES = 3  # abstract unix sockets and signals, from ABI 6

_libc = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """Returns the kernel's Landlock ABI version, or 0 without Landlock."""
    return max(0, _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def restrict(readable: Iterable[str]) -> int:
    """Limits the file access of this process and its children to reading under `readable`.

    Returns the ABI version used. Raises OSError if the kernel has no Landlock.
    """
    abi = version()
    if abi < 1:
        raise OSError("this kernel has no Landlock")
    rights = _FS_RIGHTS[max(known for known in _FS_RIGHTS if known <= abi)]
    ruleset = _Ruleset(rights, _NET_RIGHTS if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    handle = _libc.syscall(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), 0)
    _check(handle, "landlock_create_ruleset")
    try:
        for path in readable:
            try:
                parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            allowed = _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0)
            rule = _PathBeneath(allowed, parent)
            _check(_libc.syscall(_ADD_RULE, handle, 1, ctypes.byref(rule), 0), path)
            os.close(parent)
        _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
        _check(_libc.syscall(_RESTRICT_SELF, handle, 0), "landlock_restrict_self")
    finally:
        os.close(handle)
    return abi


def _check(status: int, what: str) -> None:
    if status < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
