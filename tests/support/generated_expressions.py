"""Writes random expressions, sometimes over several lines, for `generated_programs`."""

import random
import re
from collections.abc import Callable
from functools import partial


class Expressions:
    """Writes expressions. scope: the kind of each variable that has a value there."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.scope: dict[str, str] = {}
        self.names = 0

    # -- choices

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def fresh(self, kind: str) -> str:
        known = [name for name, other in self.scope.items() if other == kind and name != "n"]
        if known and self.chance(0.4):
            return self.rng.choice(known)
        self.names += 1
        return f"{kind[0]}{self.names}"

    def bind(self, kind: str) -> str:
        name = self.fresh(kind)
        self.scope[name] = kind
        return name

    def have(self, kind: str) -> list[str]:
        return [name for name, other in self.scope.items() if other == kind]

    def gap(self) -> str:
        """Returns a blank inside brackets: sometimes a new line."""
        if self.chance(0.12):
            return "\n" + " " * self.rng.choice([0, 3, 9, 20])
        return " " if self.chance(0.9) else "  # why\n        "

    def brackets(self, text: str) -> str:
        return f"({text})" if self.chance(0.8) else f"({self.gap().rstrip(' ')}{text}{self.gap()})"

    # -- expressions

    def number(self, depth: int = 2) -> str:
        rng, ints = self.rng, self.have("int")
        if depth <= 0 or self.chance(0.3):
            return rng.choice(ints) if ints and self.chance(0.7) else str(rng.randint(-2, 9))
        a = partial(self.number, depth - 1)
        xs = self.items(depth - 1)
        forms: list[Callable[[], str]] = [
            lambda: self.brackets(f"{a()}{self.gap()}{rng.choice('+-|')} {a()}"),
            lambda: f"({a()} % 5)",
            lambda: f"len({xs})",
            lambda: f"sum({xs})",
            lambda: f"max({xs},{self.gap()}default={a()})",
            lambda: f"({a()} if {self.test(depth - 1)}{self.gap()}else {a()})",
            lambda: f"({a()}{self.gap()}{rng.choice(['and', 'or'])}{self.gap()}{a()})",
            lambda: f"sum({a()} for {self.turn(xs)})",
            lambda: f"(lambda q, r=1: q{self.gap()}+ r)({a()})",
            lambda: f"fact({a()} % 4)",
            lambda: f"int({self.test(depth - 1)})",
            lambda: f"{xs}.count({a()})",
            lambda: f"Box.twice({self.gap()}{a()})",
            lambda: f"len(grow({a()}))",
            lambda: f"level + {a()}",
            lambda: self.walrus(a()),
            lambda: self.of("dict", lambda d: f"{d}.get({a()}, {a()})"),
            lambda: self.of("dict", lambda d: f"{d}.setdefault({a()},{self.gap()}{a()})"),
            lambda: self.of("box", lambda b: f"{b}.total"),
            lambda: self.of("box", lambda b: f"len({b})"),
            lambda: self.of("list", lambda v: f"{v}[{a()}]" if self.chance(0.2) else f"{v}.pop()"),
            lambda: self.of("func", lambda g: f"{g}({self.gap()}{a()},{self.gap()}{self.gap()})"),
            lambda: self.of("nest", lambda v: f"len({v}[-1])"),
        ]
        return self.choose(forms)

    def choose(self, forms: list[Callable[[], str]]) -> str:
        text = self.rng.choice(forms)()
        return without_walrus(text) if " for " in text else text

    def of(self, kind: str, write: Callable[[str], str]) -> str:
        names = self.have(kind)
        return write(self.rng.choice(names)) if names else self.number(0)

    def walrus(self, value: str) -> str:
        name = self.fresh("int")
        return f"({name} :=@ {value})"  # may not run: the name is not known to have a value

    def turn(self, xs: str) -> str:
        name = self.rng.choice(["i", "k", "x", *self.have("int")[:1]])
        return f"{name} in {xs}" if name not in xs and name != "n" else f"j in {xs}"

    def test(self, depth: int = 2) -> str:
        a = partial(self.number, depth - 1)
        b = partial(self.test, depth - 1)
        if depth <= 0:
            return f"{a()} > {a()}"
        forms: list[Callable[[], str]] = [
            lambda: f"{a()} {self.rng.choice(['<', '<=', '==', '!=', '>'])} {a()}",
            lambda: f"{a()} < {a()} <= {a()}",
            lambda: f"({b()}{self.gap()}and {b()})",
            lambda: f"({b()} or{self.gap()}{b()})",
            lambda: f"not {a()}",
            lambda: f"({a()} in {self.items(depth - 1)})",
            lambda: f"any({a()} > i for i in {self.items(depth - 1)})",
            lambda: f"{self.items(depth - 1)}",
        ]
        return self.choose(forms)

    def items(self, depth: int = 2) -> str:
        rng, lists = self.rng, self.have("list")
        if depth <= 0 or self.chance(0.35):
            return rng.choice(lists) if lists and self.chance(0.8) else "[2, 5]"
        a = partial(self.number, depth - 1)
        xs = partial(self.items, depth - 1)
        forms: list[Callable[[], str]] = [
            lambda: f"[{a()},{self.gap()}{a()}{self.gap()}]",
            lambda: f"[*{xs()},{self.gap()}{a()}]",
            lambda: f"[x * {a()} for x in {xs()}]",
            lambda: f"[x{self.gap()}for x in {xs()}{self.gap()}if x > {a()}]",
            lambda: f"[x + y for x in {xs()} for y in {xs()}[:2]][:9]",
            lambda: f"[len([y for y in {xs()} if y > x]) for x in {xs()}]",
            lambda: f"sorted({xs()}, key=lambda q: -q)",
            lambda: f"list(map(lambda q: q{self.gap()}+ 1, {xs()}))",
            lambda: f"{xs()}[{a()} % 3:]",
            lambda: f"{xs()}[::-1]",
            lambda: self.brackets(f"{xs()} + {xs()}") + "[:9]",
            lambda: f"list(gen({a()}, {xs()}))",
            lambda: f"list(chain({xs()},{self.gap()}{a()}))",
            lambda: f"grow({a()})",
            lambda: f"deep({a()} % 9, {xs()})",
            lambda: f"sorted({self.members(depth - 1)})",
            lambda: f"list({self.mapping(depth - 1)}.values())",
            lambda: self.of_list("nest", lambda v: f"{v}[-1]"),
            lambda: self.of_list("box", lambda b: f"{b}.items"),
            lambda: self.of_list("box", lambda b: f"{b}.put({a()}).items"),
        ]
        return self.choose(forms)

    def of_list(self, kind: str, write: Callable[[str], str]) -> str:
        names = self.have(kind)
        return write(self.rng.choice(names)) if names else "[1]"

    def mapping(self, depth: int = 2) -> str:
        dicts = self.have("dict")
        if depth <= 0 or self.chance(0.3):
            return self.rng.choice(dicts) if dicts else "{1: 2}"
        forms = [
            lambda: f"{{{self.number(1)}: 5,{self.gap()}{self.number(0)}: {self.number(1)}}}",
            lambda: f"{{k: k + {self.number(1)} for k in {self.items(1)}}}",
            lambda: (
                f"{{**{self.mapping(depth - 1)},{self.gap()}{self.number(0)}: {self.number(1)}}}"
            ),
            lambda: f"dict(enumerate({self.items(1)}))",
        ]
        return self.choose(forms)

    def members(self, depth: int = 2) -> str:
        sets = self.have("set")
        if depth <= 0 or self.chance(0.3):
            return self.rng.choice(sets) if sets else "{3, 1}"
        forms = [
            lambda: f"{{{self.number(1)},{self.gap()}{self.number(1)}}}",
            lambda: f"{{x % 4 for x in {self.items(1)}}}",
            lambda: f"set({self.items(1)})",
            lambda: f"({self.members(depth - 1)} | {self.members(depth - 1)})",
        ]
        return self.choose(forms)

    def text(self) -> str:
        forms = [
            lambda: f"f'''{{{self.number(0)}}}\n  {{{self.number(0)}}}'''",
            lambda: f"f'{{{self.number(0)}}}-{{{self.number(0)}:>3}}'",
            lambda: f"f'<{{{self.number(0)}!r}}'{self.gap()}'>'" if self.chance(0.3) else "'c'",
            lambda: f"str({self.items(1)})",
            lambda: f"','.join({self.gap()}str(x) for x in {self.items(1)})",
        ]
        return f"({self.choose(forms)})"


def without_walrus(text: str) -> str:
    """Takes assignments out of a text that goes into a comprehension, which may forbid them."""
    return re.sub(r"\w+ :=@ ", "", text)
