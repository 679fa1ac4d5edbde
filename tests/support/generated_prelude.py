"""The functions and classes that every generated program holds."""

PRELUDE = """\
seen = []
level = 3
def gen(n, kept=None):
    i = 0
    try:
        while i < n % 4:
            got = yield i
            if kept is not None: kept.append(i)
            i += 1 if got is None else got
    finally: i = -1
    return i
def chain(xs, n):
    last = yield from gen(n, xs)
    yield last; yield from xs[:2]
def grow(x, into=[]):
    into.append(x); x += len(into)
    return into
def deep(n, xs):
    if n <= 0: return xs
    xs.append(n)
    below = deep(n // 2 - 1, xs)
    return below
def fact(n): return 1 if n < 2 else n % 7 * fact(n - 1)
def deco(
    by,
):
    def around(function):
        def inner(*args, **named): return function(*args, **named) + by
        return inner
    return around
class Box:
    count = 0
    def __init__(self, items, size=3):
        self.items = items; self.size = size
    @property
    def total(self): return sum(self.items) + self.size
    @total.setter
    def total(self, value): self.size = value
    def put(self, x):
        self.items.append(x); self.size += 1
        return self
    def __len__(self): return len(self.items)
    def __getitem__(self, i): return self.items[i]
    def __setitem__(self, i, x): self.items[i] = x
    def __iadd__(self, x):
        self.size += x
        return self
    def __enter__(self):
        self.size += 1
        return self
    def __exit__(self, *what):
        self.size -= 1
        return what[0] is KeyError
    def __iter__(self):
        for item in self.items: yield item
    def __eq__(self, other): return self.size == other
    __hash__ = None
    @staticmethod
    def twice(x): return 2 * x
    @classmethod
    def make(cls, n): return cls([n])
"""
