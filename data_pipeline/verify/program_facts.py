"""Knows what a program calls and computes, as far as words of a line may speak of it."""

import ast
import functools

from data_pipeline.tracing.replay import Replay


class ProgramFacts:
    """Knows what a program calls and computes."""

    def __init__(self, run: Replay):
        self.nodes = run.nodes
        self.calls = {
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            for node in run.nodes
            if isinstance(node, ast.Call)
        }
        self.operators = {type(n.op) for n in run.nodes if isinstance(n, ast.BinOp | ast.AugAssign)}
        self.comprehends = any(isinstance(node, ast.comprehension) for node in run.nodes)
        self.slices = [n.slice for n in run.nodes if isinstance(n, ast.Subscript)]

    def has(self, *names: str) -> bool:
        return not self.calls.isdisjoint(names)

    def does(self, *operators: type) -> bool:
        return not self.operators.isdisjoint(operators)

    @functools.cached_property
    def puts_in_front(self) -> bool:
        """Returns whether something is put before what a variable holds: `s = c + s`."""
        for node in self.nodes:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.BinOp(op=ast.Add())):
                    parts = _operands(node.value)
                    if any(getattr(part, "id", "") == name for part in parts[1:]):
                        return True
        return self.has("insert", "appendleft", "rjust", "zfill", "center", "format", "extendleft")

    @functools.cached_property
    def turns_round(self) -> bool:
        """Returns whether something is reversed."""
        steps = [getattr(one, "step", None) for one in self.slices]
        down = any(step is not None and ast.unparse(step).startswith("-") for step in steps)
        words = any(isinstance(node, ast.keyword) and node.arg == "reverse" for node in self.nodes)
        return down or words or self.puts_in_front or self.has("reverse", "reversed", "range")

    @functools.cached_property
    def sorts(self) -> bool:
        """Returns whether something is sorted."""
        return self.has("sort", "sorted", "insort", "heappush", "heapify", "nsmallest", "nlargest",
                        "most_common", "insert", "heappop")  # fmt: skip

    @functools.cached_property
    def negative(self) -> bool:
        """Returns whether an index or slice counts from the end."""
        parts = [ast.unparse(one) for one in self.slices]
        return any("-" in part or part.endswith("1:") for part in parts)

    @functools.cached_property
    def reads_values(self) -> bool:
        """Returns whether the values of a dictionary may be read."""
        reads = any(
            isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Load) for n in self.nodes
        )
        return reads or self.has("values", "items", "get", "pop", "popitem", "setdefault")

    @functools.cached_property
    def reads_values_alone(self) -> bool:
        """Returns whether dictionaries are read by `values()` alone."""
        return self.has("values") and not (
            self.has("keys", "items", "get", "pop", "popitem", "sorted", "list")
            or any(isinstance(n, ast.In | ast.NotIn | ast.Subscript) for n in self.nodes)
            or sum(isinstance(n, ast.For | ast.comprehension) for n in self.nodes) > 1
        )

    @functools.cached_property
    def names_key(self) -> bool:
        """Returns whether a name, a text or a keyword of the program has "key" in it."""
        texts = (
            getattr(node, "id", None) or getattr(node, "arg", None) or getattr(node, "attr", None)
            or getattr(node, "value", None) for node in self.nodes
        )  # fmt: skip
        return any(isinstance(text, str) and "key" in text.lower() for text in texts)

    @functools.cached_property
    def texts(self) -> bool:
        """Returns whether a loop may take up words."""
        return self.has("split", "rsplit", "splitlines", "findall", "partition", "title",
                        "capitalize", "rpartition", "join")  # fmt: skip


def _operands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_operands(node.left), *_operands(node.right)]
    return [node]
