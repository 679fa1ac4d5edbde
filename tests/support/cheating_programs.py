"""Lists programs that try to pass without the answer; see tests/support/hostile_programs.py."""

from tests.support.hostile import hostile

CHEATS = (
    hostile("always equal", "value", """
        class Equal:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __hash__(self): return 0
        def f(x): return Equal()
    """),
    hostile("equal int subclass", "value", """
        class Equal(int):
            def __eq__(self, other): return True
            __hash__ = int.__hash__
        def f(x): return Equal(3)
    """),
    hostile("equal things in containers", "value", """
        class Equal(str):
            def __eq__(self, other): return True
            __hash__ = str.__hash__
        def f(x): return [Equal(), {Equal(): Equal()}, (Equal(),)]
    """),
    hostile("patched builtins", "value | died | bad_input", """
        import builtins
        def f(x):
            for name in ("isinstance", "type", "len", "repr", "sorted", "id", "hex", "all", "any"):
                setattr(builtins, name, lambda *a, **k: True)
            return object()
    """),
    hostile("patched json", "died | value", """
        import json, json.encoder
        def f(x):
            json.dumps = json.encoder.JSONEncoder.encode = lambda *a, **k: '{"outcome": true}'
            return 1
    """),
    hostile("patched encoder of the sandbox", "value | died", """
        import sys
        def f(x):
            for name, module in list(sys.modules.items()):
                if name.startswith("data_pipeline"):
                    for key in dir(module):
                        if key.startswith("encode"):
                            setattr(module, key, lambda *a: ["o", "pass"])
            return 1
    """),
    hostile("forged result on every descriptor", "died | value", """
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
    hostile("forged length", "died | limit output", """
        import os
        def f(x):
            for descriptor in range(3, 64):
                try:
                    os.write(descriptor, b"\\xff\\xff\\xff\\xff" + b"x" * 1000)
                except OSError:
                    pass
            os._exit(0)
    """),
    hostile("forged deep JSON", "died", """
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
    hostile("forged colliding keys", "died | value", """
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
    hostile("frame walk for the verdict", "value", """
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
    hostile("gc walk for the verdict", "value | exception | died | limit cpu", """
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
    hostile("audit hook", "value | exception | died", """
        import sys
        def f(x):
            sys.addaudithook(lambda event, args: (_ for _ in ()).throw(RuntimeError(event)))
            return 5
    """),
    hostile("trace function", "value | died | exception", """
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
    hostile("import hook", "value | exception", """
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
    hostile("no modules left", "value | exception | died", """
        import sys
        def f(x):
            for name in list(sys.modules):
                sys.modules[name] = None
            return 7
    """),
    hostile("thread that answers first", "exception", """
        import threading, os
        def f(x):
            threading.Thread(target=lambda: os._exit(0)).start()
            return 7
    """),
)  # fmt: skip
