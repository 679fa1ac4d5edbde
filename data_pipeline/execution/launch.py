"""Starts the worker: places its descriptor, drops privileges and executes it.

Runs as a separate script, `python -I -S launch.py JSON`, because a process with threads (JAX's)
must not run Python between fork and exec. The JSON object has "control" (descriptor), "drop"
(whether this is root and must become another uid), "uid" (which, or null for one of its own),
"reveal" (folder that uid cannot reach -> its closed ancestor), "argv", "env".
Standard library only.
"""

import ctypes
import json
import os
import sys

UID_BASE = 0x70000000  # above the uids that systems give to users and containers
NOBODY = 65534
_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18


def reveal(closed: dict[str, str]) -> None:
    """Makes the given folders reachable for an unprivileged uid, in a mount namespace of its own.

    Replaces each closed ancestor by an open folder that contains only the paths to the given
    folders. Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def check(status: int, what: str) -> None:
        if status:
            code = ctypes.get_errno()
            raise OSError(code, f"{what}: {os.strerror(code)}")

    def mount(source: bytes, target: str, kind: bytes | None, flags: int) -> None:
        status = libc.mount(source, target.encode(), kind, ctypes.c_ulong(flags), b"mode=755")
        check(status, f"mount on {target}")

    interpreter = ", ".join(closed)
    check(
        libc.unshare(_CLONE_NEWNS),
        f"an unprivileged uid cannot reach {interpreter}, and mounting it elsewhere needs "
        "CAP_SYS_ADMIN: use an interpreter in a folder that everyone may read",
    )
    check(libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "private")
    handles = {folder: os.open(folder, os.O_PATH) for folder in closed}
    for ancestor in sorted(set(closed.values())):
        mount(b"none", ancestor, b"tmpfs", 0)
    for folder, handle in handles.items():
        os.makedirs(folder, mode=0o755, exist_ok=True)
        mount(f"/proc/self/fd/{handle}".encode(), folder, None, _MS_BIND | _MS_REC)
        os.close(handle)


def become(uid: int) -> None:
    """Switches from root to an unprivileged uid. Raises OSError."""
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise OSError(error.errno, f"root may not become uid {uid} here (CAP_SETUID)") from None


def become_nobody() -> None:
    """Becomes a uid that no other process has: limits per uid then hold for this worker alone.

    Where such a uid is not mapped (a container with its own few uids), becomes the common one.
    """
    try:
        become(UID_BASE + os.getpid())
    except OSError:
        become(NOBODY)


def main() -> None:
    order = json.loads(sys.argv[1])
    os.umask(0o022)
    if order["reveal"]:
        reveal(order["reveal"])
    if order["drop"] and order["uid"] is None:
        become_nobody()
    elif order["drop"]:
        become(order["uid"])
    os.dup2(order["control"], 3, inheritable=True)
    os.closerange(4, 1024)
    os.chdir("/")
    os.execve(order["argv"][0], order["argv"], order["env"])


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"launch: {error}")
