"""Limits the threads of one sample: the kernel asks the worker before each start and each end.

RLIMIT_NPROC counts all processes of a uid, so samples of one uid would take each other's threads.
Here a seccomp filter of the sample reports `clone` and `exit` (SECCOMP_RET_USER_NOTIF, Linux 5.5
or newer), and the worker counts and answers. Needs no right, no namespace and no /proc.
Sources: seccomp_unotify(2); include/uapi/linux/seccomp.h.
Standard library only: runs inside the sandbox.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import struct

from data_pipeline.execution.guest import seccomp

_SET_MODE_FILTER, _NEW_LISTENER = 1, 1 << 3
_USER_NOTIF = 0x7FC00000
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, _SEND
_REQUEST, _REPLY = struct.Struct("<QIIi60x"), struct.Struct("<QqiI")
_CONTINUE = 1  # the kernel performs the call
_SECCOMP = {"x86_64": 317, "aarch64": 277}  # the number of seccomp(2)


class ThreadLimit:
    """The worker's count of a sample's threads beside the first.

    listener: descriptor of the sample's filter, readable when the sample waits for an answer
    most:     number of threads from which further ones are refused
    """

    def __init__(self, listener: int, most: int):
        self.listener, self.most = listener, most
        self.count = 0
        self._starts = seccomp.call_number("clone")

    def answer(self) -> None:
        """Answers the call that waits, if any still does: a signal or its end may withdraw it."""
        request = bytearray(_REQUEST.size)
        try:
            fcntl.ioctl(self.listener, _RECEIVE, request, True)
            identity, _, _, number = _REQUEST.unpack(request)
            change = 1 if number == self._starts else -1
            refused = self.count + change > self.most
            status = (-errno.EAGAIN, 0) if refused else (0, _CONTINUE)
            fcntl.ioctl(self.listener, _SEND, bytearray(_REPLY.pack(identity, 0, *status)), True)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINTR):
                raise
        else:
            self.count += 0 if refused else change

    def close(self) -> None:
        os.close(self.listener)


def install(channel: socket.socket) -> bool:
    """Makes the kernel report this process's threads to the holder of `channel`'s other end.

    Returns False if the kernel cannot: it is older, or another supervisor listens already.
    """
    listener = _install_filter()
    socket.send_fds(channel, [b"."], [] if listener < 0 else [listener])
    return listener >= 0


def receive(channel: socket.socket, most: int) -> ThreadLimit | None:
    """Returns the limit of the process that called `install`; None if it could not, or ended."""
    with contextlib.suppress(OSError):
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        return ThreadLimit(descriptors[0], most) if descriptors else None
    return None


def _install_filter() -> int:
    """Returns the listener's descriptor, or -1."""
    starts, ends = seccomp.call_number("clone"), seccomp.call_number("exit")
    code = seccomp.assemble(
        [
            (seccomp.LOAD, 0, 0, seccomp.NUMBER),
            (seccomp.EQUAL, 1, 0, starts),
            (seccomp.EQUAL, 0, 1, ends),
            (seccomp.RETURN, 0, 0, _USER_NOTIF),
            (seccomp.RETURN, 0, 0, seccomp.ALLOW),
        ]
    )
    program = seccomp.Program(code)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(seccomp.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    call = _SECCOMP[os.uname().machine]
    return libc.syscall(call, _SET_MODE_FILTER, _NEW_LISTENER, program.reference())
