"""Tests imports inside functions of modules of the same source.

The oracle is plain Python: the package is imported, the seed's program runs alone, and both must
give the same value.
"""

import pytest

from tests.seeds.test_unseen_sources import in_program, original, read, write

__all__ = ["original"]
PACKAGE = {
    "pkg/__init__.py": "",
    "pkg/a.py": """
        from .c import keep
        def by_name(x):
            from .b import twice, more as other
            return twice(x) + other(x)
        def by_module(x):
            from . import b
            if x > 1:
                from .sub import d
                return d.square(x) + b.LIMIT
            return b.twice(x)
        def by_whole_name(x):
            from pkg.b import twice
            return twice(x) - keep(x)
        def nothing_else(x):
            if x:
                from .b import twice  # noqa
            return x + 1
        def in_a_circle(x):
            return keep(x) + 1
        class Box:
            def __init__(self, n):
                self.n = n
            def size(self):
                from .b import twice
                return twice(self.n)
        def in_one_line(x):
            from .b import twice; return twice(x)
        def bound_twice(x):
            from .b import twice
            if x > 5:
                twice = abs
            return twice(x)
    """,
    "pkg/b.py": """
        LIMIT = 7
        def twice(x):
            return 2 * x
        def more(x):
            return x + LIMIT
    """,
    "pkg/c.py": """
        def keep(x):
            from .a import by_module
            return by_module(1) + x
    """,
    "pkg/sub/__init__.py": "",
    "pkg/sub/d.py": """
        from ..b import twice
        def square(x):
            return twice(x) * x
    """,
}


@pytest.fixture
def source(tmp_path):
    for name, text in PACKAGE.items():
        write(tmp_path, text, name)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["by_name", "by_module", "by_whole_name", "nothing_else", "in_a_circle"]
)
def test_what_a_function_imports_itself_comes_along(source, original, name):
    seeds, _ = read(source)
    module = original("pkg.a")
    assert "import" not in seeds[name].code
    for x in (0, 1, 5):
        assert in_program(seeds[name], f"{name}({x})") == getattr(module, name)(x)


def test_what_a_method_imports_itself_comes_along(source, original):
    seeds, _ = read(source)
    found = next(seed for seed in seeds.values() if "def size(self)" in seed.code)
    assert in_program(found, f"{found.name}(4)") == original("pkg.a").Box(4).size() == 8


@pytest.mark.parametrize("name", ["in_one_line", "bound_twice"])
def test_a_name_that_an_import_shares_is_refused(source, name):
    seeds, refusals = read(source)
    assert name not in seeds
    assert refusals[name].reason == "import inside the function"
