# ruff: noqa: E501
"""Lists programs that try to pass without the answer, to escape, to do harm, or never to end.

Each defines f(x). `ends` lists the permitted outcomes of its run: a kind of result, "limit" with
the kind of limit ("limit cpu"), or an exception's type. No returned value may pass for the answer,
which only the test knows.
"""

from tests.support.cheating_programs import CHEATS
from tests.support.hostile import hostile

PROGRAMS = (
    *CHEATS,
    # ---- never ending
    hostile("endless loop", "limit cpu", "def f(x):\n    while True:\n        pass\n"),
    hostile("endless print", "limit output", """
        def f(x):
            while True:
                print("spam " * 100)
    """),
    hostile("oversized output in one write", "limit output", """
        import os
        def f(x):
            os.write(1, b"x" * (64 << 20))
            return 1
    """),
    hostile("output that nobody waits for", "limit output | value", """
        import sys
        def f(x):
            sys.stdout.write("y" * (32 << 20))
            return 1
    """),
    hostile("sleep", "value", "import time\ndef f(x):\n    time.sleep(10 ** 6)\n    return 0\n"),
    hostile("wait for a signal", "limit wall", """
        import signal
        def f(x):
            signal.sigwait({signal.SIGUSR1})
    """),
    hostile("ignored signals", "limit cpu", """
        import signal
        def f(x):
            for number in range(1, 65):
                try:
                    signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError):
                    pass
            while True:
                pass
    """),
    hostile("alarm storm", "limit cpu | limit wall", """
        import signal
        def f(x):
            signal.signal(signal.SIGALRM, lambda *a: None)
            signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
            while True:
                try:
                    pass
                except BaseException:
                    pass
    """),
    hostile("huge power", "limit cpu | limit memory", "def f(x):\n    return 10 ** 10 ** 8\n"),
    hostile("enormous int in the result", "limit output | limit cpu", "def f(x):\n    return 1 << (200 << 20)\n"),
    hostile("int whose text is refused", "value", "def f(x):\n    return 1 << 40000\n"),
    hostile("endless repr", "value", """
        class Endless:
            def __repr__(self):
                while True: pass
            __str__ = __repr__
        def f(x): return Endless()
    """),
    hostile("repr generator that never ends", "value", """
        class Endless:
            def __repr__(self):
                return "".join(iter(lambda: "x", ""))
            def __iter__(self):
                while True: yield self
        def f(x): return [Endless()]
    """),
    hostile("endless message of an exception", "exception Endless", """
        class Endless(Exception):
            def __str__(self):
                while True: pass
            __repr__ = __str__
        def f(x): raise Endless()
    """),
    hostile("hang at exit", "value", """
        import atexit
        @atexit.register
        def hang():
            while True: pass
        class Late:
            def __del__(self):
                while True: pass
        late = Late()
        def f(x): return 1
    """),
    hostile("exit handler of a script", "limit cpu", """
        import atexit
        @atexit.register
        def hang():
            while True: pass
    """, "stdin"),
    hostile("catches everything", "limit cpu", """
        def f(x):
            while True:
                try:
                    while True: pass
                except BaseException:
                    continue
    """),
    hostile("regular expression blow-up", "limit cpu", """
        import re
        def f(x): return re.match(r"(a+)+$", "a" * 60 + "b")
    """),
    hostile("hash collisions", "limit cpu", """
        def f(x):
            p = (1 << 61) - 1
            return len({p * k for k in range(1, 200000)})
    """),
    # ---- taking the machine's memory and processes
    hostile("100 GB", "limit memory", "def f(x):\n    return len(bytearray(100 << 30))\n"),
    hostile("growing list", "limit memory | limit cpu", """
        def f(x):
            grown = [0]
            while True: grown += grown
    """),
    hostile("fork bomb", "exception PermissionError | exception BlockingIOError", """
        import os
        def f(x):
            while True: os.fork()
    """),
    hostile("vfork, clone, posix_spawn", "value", """
        import os, ctypes
        def f(x):
            libc, made = ctypes.CDLL(None), 0
            for number in (56, 57, 58, 435, 220):
                made += libc.syscall(number, 0, 0, 0, 0, 0) > 0
            try:
                os.posix_spawn("/bin/sh", ["sh"], {})
                made += 1
            except OSError:
                pass
            return ["made", made]
    """),
    hostile("daemon", "exception PermissionError | exception BlockingIOError", """
        import os, time
        def f(x):
            if os.fork() == 0:
                os.setsid()
                while True: time.sleep(1)
            return 0
    """),
    hostile("subprocess", "exception", """
        import subprocess
        def f(x): return subprocess.run(["id"], capture_output=True).stdout
    """),
    hostile("threads", "exception RuntimeError", """
        import threading
        def f(x):
            while True: threading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()
    """),
    hostile("deep recursion", "exception RecursionError | died | limit cpu | limit memory", """
        import sys
        def f(x):
            sys.setrecursionlimit(10 ** 8)
            def g(n): return g(n + 1)
            return g(0)
    """),
    hostile("recursion limit of one", "value | exception RecursionError | died", """
        import sys
        def f(x):
            sys.setrecursionlimit(sys.getrecursionlimit() and 60)
            return [[[[[[1]]]]]]
    """),
    hostile("huge traceback", "exception RecursionError | limit memory | limit cpu", """
        def f(x):
            def g(n, text): return g(n + 1, text * 2)
            try:
                return g(0, "x")
            except RecursionError as error:
                raise error
            except MemoryError:
                raise RecursionError("y" * (1 << 20)) from None
    """),
    hostile("huge message", "exception ValueError", "def f(x):\n    raise ValueError('z' * (8 << 20))\n"),
    hostile("deeply nested result", "limit output | limit cpu", """
        def f(x):
            nested = []
            for _ in range(100000): nested = [nested]
            return nested
    """),
    hostile("doubling result", "limit output | limit cpu", """
        def f(x):
            doubled = [1]
            for _ in range(60): doubled = [doubled, doubled]
            return doubled
    """),
    hostile("result inside itself", "value", """
        def f(x):
            a, b = [], {}
            a.append(a); a.append(b); b["a"] = a
            return a
    """),
    hostile("surrogates", "value", "def f(x):\n    return ['\\ud800', '\\udfff' * 3, '\\x00', '\\uffff']\n"),
    # ---- the host
    hostile("kill the parent", "value", """
        import os, signal
        def f(x):
            failed = 0
            for pid in {1, os.getppid(), -1, 0, -os.getpid(), 2, 3}:
                for number in (9, 15, 19):
                    try:
                        os.kill(pid, number)
                    except OSError:
                        failed += 1
            return ["still here", failed]
    """),
    hostile("kill itself", "died", "import os\ndef f(x):\n    os.kill(os.getpid(), 9)\n"),
    hostile("stop itself", "limit wall | value", """
        import os, signal
        def f(x):
            os.kill(os.getpid(), signal.SIGSTOP)
            return 1
    """),
    hostile("os._exit", "died", "import os\ndef f(x):\n    os._exit(0)\n"),
    hostile("sys.exit", "exception SystemExit", "import sys\ndef f(x):\n    sys.exit(0)\n"),
    hostile("segfault", "died", "import ctypes\ndef f(x):\n    return ctypes.string_at(0)\n"),
    hostile("abort", "died", "import os\ndef f(x):\n    os.abort()\n"),
    hostile("broken bytecode", "died | value | exception", """
        def g(): pass
        def f(x):
            g.__code__ = g.__code__.replace(co_code=bytes([100, 255] * 40), co_stacksize=0)
            return g()
    """),
    hostile("write files", "value", """
        import os
        def f(x):
            written = []
            for folder in ("/tmp", "/", "/dev/shm", "/var/tmp", os.getcwd(), "/usr", "/etc", "/run"):
                try:
                    open(os.path.join(folder, "semcoder-hostile-mark"), "w").close()
                    written.append(folder)
                except OSError:
                    pass
            return ["written", *written]
    """),
    hostile("unlink and rename", "value", """
        import os
        def f(x):
            done = []
            for action in (lambda: os.unlink("/etc/hosts"), lambda: os.rename("/tmp", "/tmp2"),
                           lambda: os.rmdir("/tmp"), lambda: os.chmod("/tmp", 0),
                           lambda: os.truncate("/etc/hosts", 0), lambda: os.mkdir("/tmp/hostile-dir"),
                           lambda: os.symlink("/etc/hosts", "/tmp/hostile-link")):
                try:
                    action()
                    done.append(1)
                except OSError:
                    pass
            return ["done", *done]
    """),
    hostile("symlink race in the scratch folder", "value", """
        import os, tempfile
        def f(x):
            made = 0
            for folder in ("/scratch", "/tmp", "/dev/shm", "."):
                for k in range(50):
                    try:
                        os.symlink("/etc", f"{folder}/hostile-{k}")
                        os.rename(f"{folder}/hostile-{k}", f"{folder}/hostile-race")
                        made += 1
                    except OSError:
                        pass
            return ["made", made]
    """),
    hostile("network", "value", """
        import socket
        def f(x):
            opened = []
            for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):
                try:
                    s = socket.socket(family, socket.SOCK_STREAM if family != 16 else socket.SOCK_RAW)
                    opened.append(int(family))
                    s.connect(("127.0.0.1", 22))
                except Exception:
                    pass
            return ["opened", *opened]
    """),
    hostile("message to an abstract socket", "value", """
        import socket
        def f(x):
            try:
                a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
                a.sendto(b"hello", "\\0semcoder-hostile")
                return ["sent"]
            except OSError:
                return ["refused"]
    """),
    hostile("environment secrets", "value", """
        import os
        def f(x): return ["secrets", *[k for k in os.environ if "SECRET" in k or "TOKEN" in k]]
    """),
    hostile("secret files", "value", """
        import os, glob
        def f(x):
            seen = []
            for path in ("/etc/shadow", "/root/.bashrc", "/proc/self/environ", "/proc/1/environ",
                         "/proc/self/mem", "/proc/self/maps", "/proc/1/mem", "/proc/sys/kernel/hostname"):
                try:
                    seen.append(open(path, "rb").read(16) and path)
                except OSError:
                    pass
            seen += glob.glob("/home/*") + glob.glob("/root/*")
            return ["seen", *seen]
    """),
    hostile("write /proc/self/mem", "exception", """
        def f(x):
            with open("/proc/self/mem", "r+b") as memory:
                memory.seek(id(f)); memory.write(b"x" * 8)
    """),
    hostile("ptrace and foreign memory", "value", """
        import ctypes, os
        def f(x):
            libc = ctypes.CDLL(None)
            numbers = {"ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "bpf": 321,
                       "userfaultfd": 323, "io_uring_setup": 425, "mount": 165, "unshare": 272,
                       "setns": 308, "keyctl": 250, "perf_event_open": 298, "pidfd_open": 434,
                       "pidfd_getfd": 438, "memfd_create": 319, "execve": 59, "socket": 41,
                       "init_module": 175, "reboot": 169, "setuid": 105, "personality": 135}
            if os.uname().machine != "x86_64":
                return ["allowed"]
            return ["allowed", *[n for n, k in numbers.items()
                                 if libc.syscall(k, 0, 0, 0, 0, 0, 0) != -1]]
    """),
    hostile("raise own limits", "value", """
        import resource
        def f(x):
            raised = []
            for name in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NPROC,
                         resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_CORE):
                try:
                    resource.setrlimit(name, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                    raised.append(name)
                except (ValueError, OSError):
                    pass
            return ["raised", *raised]
    """),
    hostile("become root", "value", """
        import os
        def f(x):
            became = []
            for action in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0]),
                           lambda: os.chroot("/")):
                try:
                    action()
                    became.append(1)
                except OSError:
                    pass
            return ["became", os.getuid() == 0, *became]
    """),
    hostile("exhaust descriptors", "value | exception OSError", """
        import os
        def f(x):
            held = []
            try:
                while True: held.extend(os.pipe())
            except OSError:
                return ["held", len(held) < 100]
    """),
    hostile("close all descriptors", "died", """
        import os
        def f(x):
            os.closerange(0, 1000)
            return 1
    """),
    hostile("closed, and on it goes", "limit cpu | died", """
        import os
        def f(x):
            os.closerange(0, 1000)
            while True: pass
    """),
    hostile("swapped descriptors", "died | value", """
        import os
        def f(x):
            r, w = os.pipe()
            for descriptor in range(3, 60):
                try:
                    os.dup2(w, descriptor)
                except OSError:
                    pass
            return 1
    """),
    hostile("reads a control message", "value | exception | limit wall", """
        import os
        def f(x):
            read = []
            for descriptor in range(3, 60):
                try:
                    os.set_blocking(descriptor, False)
                    read.append(os.read(descriptor, 100))
                except (OSError, BlockingIOError):
                    pass
            return ["read", *read]
    """),
)  # fmt: skip
