"""Pairs of a program that changes the interpreter and a probe whose result would show the change.

Each is text of a function body: `dirty` runs in one sample, `probe` in the next ones.
"""

from dataclasses import dataclass
from textwrap import dedent, indent


@dataclass(frozen=True)
class Pair:
    name: str
    dirty: str
    probe: str


def as_function(body: str) -> str:
    return "def f():\n" + indent(dedent(body).strip(), "    ") + "\n"


def pair(name: str, dirty: str, probe: str) -> Pair:
    return Pair(name, as_function(dirty), as_function(probe))


PAIRS = (
    pair("decimal precision", "import decimal\ndecimal.getcontext().prec = 3",
         "import decimal\nreturn str(decimal.Decimal(1) / 7)"),
    pair("decimal traps", "import decimal\ndecimal.DefaultContext.traps[decimal.Inexact] = True\n"
         "decimal.setcontext(decimal.DefaultContext)",
         "import decimal\nreturn str(decimal.Decimal(1) / 7)"),
    pair("int digits", "import sys\nsys.set_int_max_str_digits(700)", "return len(str(10 ** 800))"),
    pair("warning filters", "import warnings\nwarnings.simplefilter('error')",
         "import warnings\nwarnings.warn('x')\nreturn len(warnings.filters)"),
    pair("warnings seen", "import warnings\nwarnings.warn('x')",
         "import warnings\nwith warnings.catch_warnings(record=True) as seen:\n"
         "    warnings.warn('x')\nreturn len(seen)"),
    pair("time zone", "import os, time\nos.environ['TZ'] = 'Asia/Tokyo'\ntime.tzset()",
         "import time\nreturn [time.tzname, time.localtime(0).tm_hour]"),
    pair("environment", "import os\nos.environ['MARK'] = '1'\nos.environ.pop('HOME')",
         "import os\nreturn sorted(os.environ.items())"),
    pair("putenv", "import os\nos.putenv('TZ', 'Asia/Tokyo')\nos.unsetenv('HOME')",
         "import ctypes\ngetenv = ctypes.CDLL(None).getenv\ngetenv.restype = ctypes.c_char_p\n"
         "return [getenv(b'TZ'), getenv(b'HOME')]"),
    pair("patched module", "import math\nmath.sqrt = lambda x: 42",
         "import math\nreturn math.sqrt(9)"),
    pair("patched class", "import fractions\nfractions.Fraction.__add__ = lambda a, b: 7",
         "from fractions import Fraction\nreturn str(Fraction(1) + 1)"),
    pair("patched json", "import json\njson.dumps = lambda *a, **k: '[]'",
         "import json\nreturn [json.dumps({1: 2}), {3, 1, 2}]"),
    pair("patched builtins", "import builtins\nbuiltins.len = lambda x: 0\nbuiltins.mark = 1",
         "import builtins\nreturn [len([1]), hasattr(builtins, 'mark')]"),
    pair("removed builtins", "import builtins\ndel builtins.sorted", "return sorted([2, 1])"),
    pair("builtins' namespace", "__builtins__.__dict__.clear()", "return sorted([2, 1])"),
    pair("recursion limit", "import sys\nsys.setrecursionlimit(200)",
         "import sys\ndef g(n):\n    return n and g(n - 1)\n"
         "return [g(300), sys.getrecursionlimit()]"),
    pair("random seed", "import random\nrandom.seed(99)\nrandom.random()",
         "import random\nreturn random.random()"),
    pair("random class", "import random\nrandom.Random.random = lambda self: 0.5",
         "import random\nreturn random.random()"),
    pair("clock", "import time\ntime.sleep(10 ** 7)", "import time\nreturn time.time()"),
    pair("locale", "import locale\nlocale.setlocale(locale.LC_ALL, 'C')",
         "import locale\nreturn locale.setlocale(locale.LC_ALL)"),
    pair("module path", "import sys\nsys.path.insert(0, '/mark')\nsys.meta_path.clear()",
         "import sys, wave\nreturn [sys.path, wave.__name__]"),
    pair("modules", "import sys, types\nsys.modules['bisect'] = types.ModuleType('bisect')\n"
         "sys.modules['colorsys'] = None",
         "import bisect, colorsys\nreturn bisect.bisect([1, 2], 1)"),
    pair("program module", "import sys\nsys.modules['program'].mark = 1",
         "import sys\nreturn hasattr(sys.modules['program'], 'mark')"),
    pair("exit handlers", "import atexit, os\natexit.register(os._exit, 3)",
         "import atexit\nreturn atexit._ncallbacks()"),
    pair("signal handlers", "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)",
         "import signal\nreturn signal.getsignal(signal.SIGINT) is signal.default_int_handler"),
    pair("signal mask", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {10, 12})",
         "import signal\nreturn len(signal.pthread_sigmask(signal.SIG_BLOCK, ()))"),
    pair("timer", "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.01)",
         "n = 0\nfor _ in range(10 ** 6):\n    n += 1\nreturn n"),
    pair("CPU timer", "import signal\nsignal.setitimer(signal.ITIMER_PROF, 0.001)",
         "n = 0\nfor _ in range(10 ** 6):\n    n += 1\nreturn n"),
    pair("collector", "import gc\ngc.disable()\ngc.set_threshold(1, 1, 1)",
         "import gc\nreturn [gc.isenabled(), gc.get_threshold()]"),
    pair("trace function", "import sys\nsys.settrace(lambda *a: 1 / 0)\nsys.setprofile(print)",
         "import sys\nreturn [sys.gettrace(), sys.getprofile()]"),
    pair("hooks", "import sys\nsys.excepthook = sys.displayhook = sys.unraisablehook = print",
         "import sys\nreturn sys.excepthook is sys.__excepthook__"),
    pair("stdout", "import io, sys\nsys.stdout = io.StringIO()", "print('shown')"),
    pair("closed stdout", "import sys\nsys.stdout.close()", "print('shown')"),
    pair("working folder", "import os\ntry:\n    os.chdir('/usr')\nexcept OSError:\n    pass",
         "import os\nreturn os.getcwd()"),
    pair("umask", "import os\ntry:\n    os.umask(0)\nexcept OSError:\n    pass",
         "import resource\nreturn resource.getrlimit(resource.RLIMIT_NOFILE)"),
    pair("limits", "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (10, 64))",
         "import resource\nreturn resource.getrlimit(resource.RLIMIT_NOFILE)"),
    pair("descriptors", "import os\nf.held = [os.pipe() for _ in range(10)]\nos.close(0)",
         "import os\nends = os.pipe()\nreturn [ends, os.fstat(0).st_mode > 0]"),
    pair("descriptor flags", "import os\nfor d in (0, 1, 2):\n    os.set_blocking(d, False)",
         "import os\nreturn [os.get_blocking(d) for d in (0, 1, 2)]"),
    pair("answer for the next", "import os\ndata = b'{\"outcome\": [\"value\", 666]}'\n"
         "frame = len(data).to_bytes(4, 'big') + data\nos.write(40, frame * 2)", "return 1"),
    pair("default encoding", "import codecs\ncodecs.register_error('strict', lambda e: ('', 9))",
         "try:\n    b'\\xff'.decode()\nexcept UnicodeDecodeError as error:\n    return str(error)"),
    pair("regular expressions", "import re\nre.compile = None\nre._cache = None",
         "import re\nreturn re.findall('a', 'aba')"),
    pair("cached functions", "import functools, fnmatch\n"
         "fnmatch._compile_pattern = lambda *a: lambda text: True",
         "import fnmatch\nreturn fnmatch.fnmatch('a', 'b')"),
    pair("abstract classes", "import collections.abc\ncollections.abc.Sized.register(int)",
         "import collections.abc\nreturn isinstance(3, collections.abc.Sized)"),
    pair("copy registry", "import copyreg\ncopyreg.dispatch_table[complex] = lambda c: (int, (9,))",
         "import copy\nreturn copy.copy(1 + 2j)"),
    pair("threads left over", "import threading, time\n"
         "threading.Thread(target=time.sleep, args=(9,)).start()",
         "import threading\nreturn threading.active_count()"),
    pair("small integers", "import ctypes, sys\nif sys.version_info < (3, 12):\n"
         "    ctypes.c_long.from_address(id(257 - 1) + 24).value = 7\n"
         "    return 0\nreturn 0", "return int('250') + 6"),
)  # fmt: skip
