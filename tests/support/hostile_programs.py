# ruff: noqa: E501
"""Programs that try to pass without the answer, to get out, to do harm, or never to end.

Each defines f(x). `ends` lists what its run may come to: a kind of result, "limit" with the kind
of limit ("limit cpu"), or an exception's type. Whatever it returns must not be taken for the answer
that the test keeps to itself.
"""

from dataclasses import dataclass
from textwrap import dedent


@dataclass(frozen=True)
class Hostile:
    name: str
    ends: tuple[str, ...]
    program: str
    mode: str = "call"


def _hostile(name: str, ends: str, program: str, mode: str = "call") -> Hostile:
    return Hostile(name, tuple(ends.split(" | ")), dedent(program).strip() + "\n", mode)


PROGRAMS = (
    # ---- passing without the answer
    _hostile("always equal", "value", """
        class Equal:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __hash__(self): return 0
        def f(x): return Equal()
    """),
    _hostile("equal int subclass", "value", """
        class Equal(int):
            def __eq__(self, other): return True
            __hash__ = int.__hash__
        def f(x): return Equal(3)
    """),
    _hostile("equal things in containers", "value", """
        class Equal(str):
            def __eq__(self, other): return True
            __hash__ = str.__hash__
        def f(x): return [Equal(), {Equal(): Equal()}, (Equal(),)]
    """),
    _hostile("patched builtins", "value | died | bad_input", """
        import builtins
        def f(x):
            for name in ("isinstance", "type", "len", "repr", "sorted", "id", "hex", "all", "any"):
                setattr(builtins, name, lambda *a, **k: True)
            return object()
    """),
    _hostile("patched json", "died | value", """
        import json, json.encoder
        def f(x):
            json.dumps = json.encoder.JSONEncoder.encode = lambda *a, **k: '{"outcome": true}'
            return 1
    """),
    _hostile("patched encoder of the sandbox", "value | died", """
        import sys
        def f(x):
            for name, module in list(sys.modules.items()):
                if name.startswith("data_pipeline"):
                    for key in dir(module):
                        if key.startswith("encode"):
                            setattr(module, key, lambda *a: ["o", "pass"])
            return 1
    """),
    _hostile("forged result on every descriptor", "died | value", """
        import os, json
        def f(x):
            for wish in ({"outcome": ["value", True]}, {"passed": True}, {"ok": True, "rows": []}):
                data = json.dumps(wish).encode()
                for descriptor in range(64):
                    for message in (len(data).to_bytes(4, "big") + data, data + b"\\n", b"pass"):
                        try:
                            os.write(descriptor, message)
                        except OSError:
                            pass
            os._exit(0)
    """),
    _hostile("forged length", "died | limit output", """
        import os
        def f(x):
            for descriptor in range(3, 64):
                try:
                    os.write(descriptor, b"\\xff\\xff\\xff\\xff" + b"x" * 1000)
                except OSError:
                    pass
            os._exit(0)
    """),
    _hostile("forged deep JSON", "died", """
        import os
        def f(x):
            data = b"[" * 200000
            for descriptor in range(30, 64):
                try:
                    os.write(descriptor, len(data).to_bytes(4, "big") + data)
                except OSError:
                    pass
            os._exit(0)
    """),
    _hostile("forged colliding keys", "died | value", """
        import os, json
        def f(x):
            p = (1 << 61) - 1
            tree = ["s", *(["i", hex(p * k)] for k in range(1, 20000))]
            data = json.dumps({"outcome": ["value", tree]}).encode()
            for descriptor in range(30, 64):
                try:
                    os.write(descriptor, len(data).to_bytes(4, "big") + data)
                except OSError:
                    pass
            os._exit(0)
    """),
    _hostile("frame walk for the verdict", "value", """
        import sys
        def f(x):
            found, frame = [], sys._getframe()
            while frame:
                for name, value in list(frame.f_locals.items()):
                    if "expect" in str(name) or "answer" == name or "verdict" in str(name):
                        found.append(value)
                    if isinstance(value, dict):
                        value.update(passed=True, ok=True)
                frame = frame.f_back
            return found
    """),
    _hostile("gc walk for the verdict", "value | exception | died | limit cpu", """
        import gc
        def f(x):
            hits = 0
            for thing in gc.get_objects():
                if type(thing) is dict and ("expected" in thing or "passed" in thing):
                    try:
                        thing["passed"] = True
                        hits += 1
                    except Exception:
                        pass
            return "touched %d" % hits
    """),
    _hostile("audit hook", "value | exception | died", """
        import sys
        def f(x):
            sys.addaudithook(lambda event, args: (_ for _ in ()).throw(RuntimeError(event)))
            return 5
    """),
    _hostile("trace function", "value | died | exception", """
        import sys
        def f(x):
            def trace(frame, event, arg):
                for name in list(frame.f_locals):
                    if name in ("value", "tree", "outcome"):
                        frame.f_locals[name] = ["value", True]
                return trace
            sys.settrace(trace)
            sys.setprofile(lambda *a: None)
            return 5
    """),
    _hostile("import hook", "value | exception", """
        import sys
        class Hook:
            def find_spec(self, name, path=None, target=None):
                raise SystemExit(0)
        def f(x):
            sys.meta_path.insert(0, Hook())
            sys.modules.clear()
            import colorsys
            return 6
    """),
    _hostile("no modules left", "value | exception | died", """
        import sys
        def f(x):
            for name in list(sys.modules):
                sys.modules[name] = None
            return 7
    """),
    _hostile("thread that answers first", "exception", """
        import threading, os
        def f(x):
            threading.Thread(target=lambda: os._exit(0)).start()
            return 7
    """),
    # ---- never ending
    _hostile("endless loop", "limit cpu", "def f(x):\n    while True:\n        pass\n"),
    _hostile("endless print", "limit output", """
        def f(x):
            while True:
                print("spam " * 100)
    """),
    _hostile("oversized output in one write", "limit output", """
        import os
        def f(x):
            os.write(1, b"x" * (64 << 20))
            return 1
    """),
    _hostile("output that nobody waits for", "limit output | value", """
        import sys
        def f(x):
            sys.stdout.write("y" * (32 << 20))
            return 1
    """),
    _hostile("sleep", "value", "import time\ndef f(x):\n    time.sleep(10 ** 6)\n    return 0\n"),
    _hostile("wait for a signal", "limit wall", """
        import signal
        def f(x):
            signal.sigwait({signal.SIGUSR1})
    """),
    _hostile("ignored signals", "limit cpu", """
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
    _hostile("alarm storm", "limit cpu | limit wall", """
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
    _hostile("huge power", "limit cpu | limit memory", "def f(x):\n    return 10 ** 10 ** 8\n"),
    _hostile("enormous int in the result", "limit output | limit cpu", "def f(x):\n    return 1 << (200 << 20)\n"),
    _hostile("int whose text is refused", "value", "def f(x):\n    return 1 << 40000\n"),
    _hostile("endless repr", "value", """
        class Endless:
            def __repr__(self):
                while True: pass
            __str__ = __repr__
        def f(x): return Endless()
    """),
    _hostile("repr generator that never ends", "value", """
        class Endless:
            def __repr__(self):
                return "".join(iter(lambda: "x", ""))
            def __iter__(self):
                while True: yield self
        def f(x): return [Endless()]
    """),
    _hostile("endless message of an exception", "exception Endless", """
        class Endless(Exception):
            def __str__(self):
                while True: pass
            __repr__ = __str__
        def f(x): raise Endless()
    """),
    _hostile("hang at exit", "value", """
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
    _hostile("exit handler of a script", "limit cpu", """
        import atexit
        @atexit.register
        def hang():
            while True: pass
    """, "stdin"),
    _hostile("catches everything", "limit cpu", """
        def f(x):
            while True:
                try:
                    while True: pass
                except BaseException:
                    continue
    """),
    _hostile("regular expression blow-up", "limit cpu", """
        import re
        def f(x): return re.match(r"(a+)+$", "a" * 60 + "b")
    """),
    _hostile("hash collisions", "limit cpu", """
        def f(x):
            p = (1 << 61) - 1
            return len({p * k for k in range(1, 200000)})
    """),
    # ---- taking the machine's memory and processes
    _hostile("100 GB", "limit memory", "def f(x):\n    return len(bytearray(100 << 30))\n"),
    _hostile("growing list", "limit memory | limit cpu", """
        def f(x):
            grown = [0]
            while True: grown += grown
    """),
    _hostile("fork bomb", "exception PermissionError | exception BlockingIOError", """
        import os
        def f(x):
            while True: os.fork()
    """),
    _hostile("vfork, clone, posix_spawn", "value", """
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
    _hostile("daemon", "exception PermissionError | exception BlockingIOError", """
        import os, time
        def f(x):
            if os.fork() == 0:
                os.setsid()
                while True: time.sleep(1)
            return 0
    """),
    _hostile("subprocess", "exception", """
        import subprocess
        def f(x): return subprocess.run(["id"], capture_output=True).stdout
    """),
    _hostile("threads", "exception RuntimeError", """
        import threading
        def f(x):
            while True: threading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()
    """),
    _hostile("deep recursion", "exception RecursionError | died | limit cpu | limit memory", """
        import sys
        def f(x):
            sys.setrecursionlimit(10 ** 8)
            def g(n): return g(n + 1)
            return g(0)
    """),
    _hostile("recursion limit of one", "value | exception RecursionError | died", """
        import sys
        def f(x):
            sys.setrecursionlimit(sys.getrecursionlimit() and 60)
            return [[[[[[1]]]]]]
    """),
    _hostile("huge traceback", "exception RecursionError | limit memory | limit cpu", """
        def f(x):
            def g(n, text): return g(n + 1, text * 2)
            try:
                return g(0, "x")
            except RecursionError as error:
                raise error
            except MemoryError:
                raise RecursionError("y" * (1 << 20)) from None
    """),
    _hostile("huge message", "exception ValueError", "def f(x):\n    raise ValueError('z' * (8 << 20))\n"),
    _hostile("deeply nested result", "limit output | limit cpu", """
        def f(x):
            nested = []
            for _ in range(100000): nested = [nested]
            return nested
    """),
    _hostile("doubling result", "limit output | limit cpu", """
        def f(x):
            doubled = [1]
            for _ in range(60): doubled = [doubled, doubled]
            return doubled
    """),
    _hostile("result inside itself", "value", """
        def f(x):
            a, b = [], {}
            a.append(a); a.append(b); b["a"] = a
            return a
    """),
    _hostile("surrogates", "value", "def f(x):\n    return ['\\ud800', '\\udfff' * 3, '\\x00', '\\uffff']\n"),
    # ---- the host
    _hostile("kill the parent", "value", """
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
    _hostile("kill itself", "died", "import os\ndef f(x):\n    os.kill(os.getpid(), 9)\n"),
    _hostile("stop itself", "limit wall | value", """
        import os, signal
        def f(x):
            os.kill(os.getpid(), signal.SIGSTOP)
            return 1
    """),
    _hostile("os._exit", "died", "import os\ndef f(x):\n    os._exit(0)\n"),
    _hostile("sys.exit", "exception SystemExit", "import sys\ndef f(x):\n    sys.exit(0)\n"),
    _hostile("segfault", "died", "import ctypes\ndef f(x):\n    return ctypes.string_at(0)\n"),
    _hostile("abort", "died", "import os\ndef f(x):\n    os.abort()\n"),
    _hostile("broken bytecode", "died | value | exception", """
        def g(): pass
        def f(x):
            g.__code__ = g.__code__.replace(co_code=bytes([100, 255] * 40), co_stacksize=0)
            return g()
    """),
    _hostile("write files", "value", """
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
    _hostile("unlink and rename", "value", """
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
    _hostile("symlink race in the scratch folder", "value", """
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
    _hostile("network", "value", """
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
    _hostile("message to an abstract socket", "value", """
        import socket
        def f(x):
            try:
                a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
                a.sendto(b"hello", "\\0semcoder-hostile")
                return ["sent"]
            except OSError:
                return ["refused"]
    """),
    _hostile("environment secrets", "value", """
        import os
        def f(x): return ["secrets", *[k for k in os.environ if "SECRET" in k or "TOKEN" in k]]
    """),
    _hostile("secret files", "value", """
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
    _hostile("write /proc/self/mem", "exception", """
        def f(x):
            with open("/proc/self/mem", "r+b") as memory:
                memory.seek(id(f)); memory.write(b"x" * 8)
    """),
    _hostile("ptrace and foreign memory", "value", """
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
    _hostile("raise own limits", "value", """
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
    _hostile("become root", "value", """
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
    _hostile("exhaust descriptors", "value | exception OSError", """
        import os
        def f(x):
            held = []
            try:
                while True: held.extend(os.pipe())
            except OSError:
                return ["held", len(held) < 100]
    """),
    _hostile("close all descriptors", "died", """
        import os
        def f(x):
            os.closerange(0, 1000)
            return 1
    """),
    _hostile("closed, and on it goes", "limit cpu | died", """
        import os
        def f(x):
            os.closerange(0, 1000)
            while True: pass
    """),
    _hostile("swapped descriptors", "died | value", """
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
    _hostile("reads a control message", "value | exception | limit wall", """
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
