"""Lists programs with every kind of node that Python 3.11 parses, and their fingerprints.

The values are SHA-256 of Python 3.11's own `ast.dump` of the normal form, computed before this
package wrote that text itself.
"""

# (fingerprint, program); programs are raw where they hold escapes.
VALUES = [
    (
        "d72783c5c55ed163fd504b19f638442dcfcd4e50eecbe1ea48d8f09d5c6fe911",
        r"""def f(a, b): return a + b""",
    ),
    (
        "b4297ee95776282d2ded1cb481dbfb47cd9ab2d6a1fa880c887291900dacab92",
        r'''def f(a, /, b=1, *args: int, c, d=None, **kwargs) -> int:
    """Documented."""
    return a if b else (c, *args, {**kwargs, "d": d})''',
    ),
    (
        "5c077b779e775fd7dcfb24544277e2a406cebe48261a5b5f0c2f2925a0c4b4d6",
        r"""import os, sys as system
from . import sibling
from ..package import name as other, second
from math import *""",
    ),
    (
        "d4b73f5b6fc2d55c163a076d8f418d0febba79d61fb9851c5375a49804ff9261",
        r'''x: int = 3
y: str
class Point(Base, metaclass=Meta):
    """Documented."""
    x: int
    y: int = 0
    @property
    def norm(self): return (self.x ** 2 + self.y ** 2) ** .5
    @staticmethod
    def zero(): pass''',
    ),
    (
        "02b3905b1d5bbeef605162fcf0471c60dfddd63184e765a29f2d3c1d82cdf9b0",
        r"""def f(xs):
    for i, x in enumerate(xs):
        while x > 0 and not i or x is None:
            x -= 1
            if x in (1, 2): break
            elif x not in [3]: continue
            else: pass
        else:
            del xs[0], xs[1:2:3], xs.field
    else:
        assert xs, "message"
    return ~i, -x, +x, x @ x, x // 2, x % 3, x << 1, x >> 1, x & 1, x | 2, x ^ 3""",
    ),
    (
        "d701f140b919b3ab895145cc709af7ad2ff3ea66273c34d6a35490708d1a2ae1",
        r"""def f(x):
    try:
        raise ValueError("bad") from error
    except (ValueError, TypeError) as error:
        raise
    except Exception:
        return
    else:
        x = y = 1
    finally:
        x, *rest = [x, y]
        (x), [y] = 1, [2]""",
    ),
    (
        "6ab9be7a002ed9a93a458261ffb8ac9c91abf327e22476682d51a274f3d5073f",
        r"""def f(x):
    try: pass
    except* ValueError as group: print(group)""",
    ),
    (
        "bec3654d4ee424296c7fe7bc8745b6303df7f002d944f837f76a9714f7f8e2a9",
        r"""async def f(xs):
    async with a as b, c: await b
    async for x in xs: yield x
    return
async def g(xs): return [x async for x in xs if await x]""",
    ),
    (
        "b58ac8ca825aa468f28bc7957cb98cc2e820e884b3da407bf2187b1c9f5568fe",
        r"""def f(path):
    with open(path) as file, lock: return file.read()""",
    ),
    (
        "c949ab6601c0cf6f84889d4e12a1138f3a3dfc7d88be25d7442512e891e38c4e",
        r"""def f(x):
    match x:
        case 0 | 1 | -2 | 1 + 2j: return "n"
        case "a" | b"b" | None | True | False: return x
        case [a, 2, *rest] if a: return rest
        case (a, *_): return a
        case {"k": v, **others}: return v, others
        case {}: return 1
        case Point(1, y=[z]) as p: return p, z
        case module.NAME: return 2
        case str(): return 3
        case other: return other""",
    ),
    (
        "092ea00d7bc44ff84d8efcfedf9d447e9d5ce9e96d77f3b1c7cb994520422b76",
        r"""total = 0
def f(x):
    global total
    def g():
        nonlocal x
        x += 1
        total = x
        return total
    return g""",
    ),
    (
        "0a82431c69d0a6d9b58379957c16b453eed026dd5c7e585858988f695f4eff95",
        r"""def f(xs):
    return [(y := x * 2) for x in xs if x if (n := x)], {x for x in xs}, {
        k: v for k, v in xs}, sum(x for ys in xs for x in ys)""",
    ),
    (
        "ae947c4a27b2468ae1ba55e6e6779fbd55f2d283801a53532879191acb4639ed",
        r"""f = lambda x, *a, k=1, **kw: (yield)
g = lambda: (yield from f)""",
    ),
    (
        "ed75724fc4bf05b64f2e11153ff5d2bb34439766215e78e07cd79420653c46ea",
        r"""def f(x): return 0 < x <= 3 != 4 == 5 >= x is not None""",
    ),
    (
        "713b983cf589dc140120ca6351ea2b88ceddfbe69a4a53eb5b1bbc6793862cf8",
        r"""def f(*a): return g(1, *a, k=2, **a[0])[..., 1:, ::2, a]""",
    ),
    (
        "7379d6f6d84324b00bc783603fa4a023af989365dd6bbaa0f871099279e2d4ea",
        r"""x = [0, 1, -1, 1_000, 0xFF, 0b11, 0o17,
     12345678901234567890123456789012345678901234567890]""",
    ),
    (
        "6dac20f87f0b6ca4c7f3e660b6d97229287ea7557feb508cb4280d54b2cc233a",
        "x = 0x" + "f" * 4000,
    ),
    (
        "0729b789aa80e471faf8063657eeb8979a512b7c2a597cac732f0ad1d47a1429",
        r"""x = [0.1, 1e16, 1e-7, 1e22, 123456789.123456789, 5e-324,
     1.7976931348623157e308, 1e999, 0.0, -0.0, 1., .5]""",
    ),
    (
        "782356007acd5563e571c894c4f034470e27cccc18860952a601344800e1a65f",
        r"""x = [1j, 1.5j, 1e999j, 0j, True, False, None, ...]""",
    ),
    (
        "1a21a49ad07808543f3094a287e0f2eb45c5f2b545976d55ee189f8ed30691ab",
        r'''x = ["", 'a', "it's", 'say "a"', """it's "b" """, "\\",
     "\n\r\t\0\x7f\x1b", u"u", "a" "b", r"\d", "''", "\"'"]''',
    ),
    (
        "48d2bc3a524e6695b7e1d8cf4b2bfa557c4994689cf1d56c3be5c0a9df4a0593",
        r"""x = ["é", "日本", "😀", "\xa0", "\xad", "\u200b", "\u2028", 
     "\ud800", "\ue000", "\ufeff", "\ufffe", "\U000e0001", "\U0010ffff", "e\u0301"]""",
    ),
    (
        "3a0eec00c4ca1c6c26ba34a9d00379b6cdd761838d83f5c8d9018e6c454ae2e8",
        r"""x = [b"", b"a", b"it's", b'"', b"\x00\xff\n\\", rb"\d"]""",
    ),
    (
        "7728bfacb8371bf530be3783f2c6158f70a0f3affa8bebfdcddc85bfe3d214a8",
        r'''def f(x, w):
    return f"", f"{x}", f"a{x}b", (f"{x!r}", f"{x=}", f"a {x = !s:>{w}} b", f"{x:}"), (
        f"{x:>{w}.{w}f}"), f"{{{x}}}", f"{x:%H:%M}"''',
    ),
    (
        "536e53cc16b075a7a5b73faad6c2189fb5f788221b93e0f8ce7bf379a9bb6943",
        r'''def f(x, w):
    return f"{x:{w}}" "", "a" f"{x}" "b" f"c", u"a" f"{x}", (
        f"\n{x}\N{BULLET}", rf"\d{x:\d}"), f"{x['k']:>{w}}", f"""{x
}""", f"{x:\N{BULLET}}", f"{(lambda: 1)()}", f"{f'{x}'}{x!a:a{w}b{w}}"''',
    ),
    (
        "5177e19937750cc32b6f29912a7068280645a903ce2c14488a0b7f0e4ea2a3ee",
        r"""@decorator
@other.decorator(1, k=2)
def f(x):
    @inner
    class C: pass
    return C""",
    ),
    (
        "d191c2f99bcfe924b73c5086f10971f9e4a6898cb15dcb8c90b125808d88cc4c",
        r"""größe = "µ"; ﬁ = größe.ﬁeld""",
    ),
    (
        "3543b4693a36a1098850b8bc928887694ed59a6deb7d3dfd0339de01f55a77b6",
        r"""""",
    ),
    (
        "3543b4693a36a1098850b8bc928887694ed59a6deb7d3dfd0339de01f55a77b6",
        r'''"""Only a docstring."""''',
    ),
    (
        "00c0e3e698b0c4f282597d7d790f4d7872db271fe81e24adf19058e5e70ff0ec",
        r"""def f(x): pass; x; 1; "text"; ...; return {1, "a", x} / x""",
    ),
]
