"""Writes random programs over the statements and expressions of Python, in many layouts.

`write_program(seed)` returns a program whose function `f(n, xs)` ends, often by an exception.
Aliases and changes in place come above all; statements share lines, headers and calls take several.
"""

import random
from collections.abc import Callable

from tests.support.generated_expressions import Expressions, without_walrus
from tests.support.generated_prelude import PRELUDE

CALL = "f({n}, {xs})"


def write_program(seed: int) -> tuple[str, str]:
    """Returns a program and a call of its function `f`."""
    rng = random.Random(seed)
    writer = _Writer(rng)
    body = writer.function("f", ["n", "xs"], size=rng.randint(5, 11))
    source = PRELUDE + "\n".join(body).replace(":=@", ":=") + "\n"
    items = [rng.randint(-3, 9) for _ in range(rng.randint(0, 5))]
    return source, CALL.format(n=rng.randint(0, 6), xs=items)


class _Writer(Expressions):
    """Writes blocks of lines."""

    def __init__(self, rng: random.Random):
        super().__init__(rng)
        self.loops = 0  # around the statement
        self.depth = 0  # of functions
        self.nesting = 0  # of blocks
        self.yields = False  # whether the function is a generator
        self.kept: frozenset[str] = frozenset()  # names that may not be deleted

    # -- simple statements

    def simple(self) -> str:
        """Returns one simple statement."""
        rng = self.rng
        forms: list[Callable[[], str]] = [
            lambda: self.assign("int", self.number()),
            lambda: self.assign("int", self.number()),
            lambda: self.assign("list", self.items()),
            lambda: self.assign("list", self.items()),
            lambda: self.assign("dict", self.mapping()),
            lambda: self.assign("set", self.members()),
            lambda: self.assign("str", self.text()),
            lambda: self.assign("nest", f"[{self.items(1)},{self.gap()}{self.items(0)}]"),
            lambda: self.assign("box", f"Box({self.items(1)},{self.gap()}{self.number(1)})"),
            lambda: self.assign("box", f"Box.make({self.number(1)})"),
            lambda: self.assign("func", f"lambda q: {self.brackets(f'q +{self.gap()}1')}"),
            self.several,
            self.unpack,
            self.augment,
            self.change,
            self.change,
            self.change,
            self.change,
            self.effects,
            self.effects,
            self.delete,
            lambda: f"assert {self.number(1)} != 77,{' '}'no'",
            lambda: f"print({self.number(1)}, {self.items(1)})",
            lambda: f"seen.append({self.number(1)})",
            lambda: "pass",
            lambda: f"y: int = {self.number(1)}",
        ]
        if self.yields:
            forms += [lambda: f"yield {self.number(1)}", self.send] * 3
        return rng.choice(forms)()

    def send(self) -> str:
        value = self.number(1)
        name = self.bind("got")
        return f"{name} = yield {value}" if self.chance(0.6) else f"yield from {self.items(1)}"

    def assign(self, kind: str, value: str) -> str:
        return f"{self.bind(kind)} = {value}"

    def several(self) -> str:
        value = self.items(1)
        one, other = self.bind("list"), self.bind("list")
        return f"{one} = {other} = {value}"

    def unpack(self) -> str:
        value = self.items(1)
        forms = [
            lambda: f"{self.bind('int')}, *{self.bind('list')} = [{self.number(1)}, *{value}]",
            lambda: f"*{self.bind('list')}, {self.bind('int')} = {value} or [0]",
            lambda: f"({self.bind('int')},{self.gap()}{self.bind('int')}) = {self.number(0)}, 4",
            lambda: f"{self.bind('int')}, ({self.bind('int')}, *_) = 1, (2, {self.number(0)})",
        ]
        return self.rng.choice(forms)()

    def augment(self) -> str:
        ints = [name for name in self.have("int") if name != "n"]
        if not ints or self.chance(0.4):
            lists = self.have("list")
            return f"{self.rng.choice(lists)} += {self.items(1)}[:3]" if lists else "pass"
        return f"{self.rng.choice(ints)} {self.rng.choice(['+=', '-=', '^='])} {self.number(1)}"

    def change(self) -> str:
        """Returns a statement that changes a value in place."""
        i = self.number(1)
        forms: dict[str, list[str]] = {
            "list": [
                "{v}.append({i})", "{v}.extend([{i}, 1])", "{v}.insert(0, {i})", "{v}.sort()",
                "{v}.reverse()", "{v}.clear()", "{v}[0] = {i}", "{v}[-1] += {i}",
                "{v}[1:2] = [{i}]",
                "{v}.pop({i} % 2)", "{v}.remove({i})", "del {v}[0]", "del {v}[:1]",
                "{v}[3:] = {v}[:2] * 2",
                "deep({i} % 5, {v})", "{v}[:] = {v}[1:]",
            ],
            "dict": [
                "{v}[{i}] = {i}", "{v}.update({{{i}: 0}})", "{v}.pop({i}, None)", "{v}.clear()",
                "{v}[{i}] = {v}.get({i}, 0) + 1", "del {v}[{i}]", "{v} |= {{5: {i}}}",
            ],
            "set": ["{v}.add({i})", "{v}.discard({i})", "{v} |= {{{i}}}", "{v}.update([{i}, 2])"],
            "nest": [
                "{v}[0].append({i})", "{v}.append({v}[0])", "{v}[-1] += [{i}]", "{v}[0] = {v}[1]",
                "{v}[0][0] = {i}", "{v}.append([{i}])",
            ],
            "box": [
                "{v}.put({i})", "{v}.size += {i}", "{v} += {i}", "{v}.items[0] = {i}",
                "{v}[0] = {i}",
                "{v}.items.append({i})", "{v}.total = {i}", "{v}.extra = [{i}]", "{v}[-1] += {i}",
            ],
        }  # fmt: skip
        kinds = [kind for kind in forms if self.have(kind)]
        if not kinds:
            return "pass"
        kind = self.rng.choice(kinds)
        return self.rng.choice(forms[kind]).format(v=self.rng.choice(self.have(kind)), i=i)

    def effects(self) -> str:
        """Returns comprehensions and the like that change other values on their way."""
        lists, xs = self.have("list"), without_walrus(self.items(1))
        if not lists:
            return "pass"
        v = self.rng.choice(lists)
        safe = f"list({xs})[:4]"
        forms = [
            f"[{v}.append(x) for x in {safe}]",
            f"[{v}.append(x){self.gap()}for x in {safe}{self.gap()}if x > 1]",
            f"{{{v}.pop() for x in {safe} if {v}}}",
            f"{{x: {v}.insert(0, x) for x in {safe}}}",
            f"list({v}.append(x) for x in {safe})",
            f"list(map({v}.append, {safe}))",
            f"any({v}.append(x) for x in {safe})",
            f"[[{v}.append(y) for y in range(x % 3)] for x in {safe}]",
            f"({v}.append(1) or {v}.append(2) if {v} else {v}.append(3))",
            f"[({v}.append(x), {v}.pop(0)) for x in {safe}]",
        ]
        forms += [
            f"[w for x in {safe} if (w := x * 2) > 1]",
            f"[(w := x) for x in {safe}]",
            f"[(w := x, [(z := y + w) for y in {safe}]) for x in {safe}]",
            f"any((w := x) > 3 for x in {safe})",
        ]
        for d in self.have("dict")[:1]:
            forms.append(f"[{d}.update({{x: {d}.setdefault(x, 1)}}) for x in {safe}]")
        for s in self.have("set")[:1]:
            forms.append(f"[x for x in {safe} if not (x in {s} or {s}.add(x))]")
        text = self.rng.choice(forms)
        if self.chance(0.4):
            self.names += 1
            return f"u{self.names} = {text}"
        return text

    def delete(self) -> str:
        names = [n for n in self.have("str") + self.have("set") if n not in self.kept]
        if not names:
            return "pass"
        name = self.rng.choice(names)
        del self.scope[name]
        return f"del {name}"

    # -- blocks

    def function(self, name: str, parameters: list[str], size: int) -> list[str]:
        self.scope = {"n": "int", "xs": "list"}
        lines = [f"def {name}({', '.join(parameters)}):"]
        if self.chance(0.3):
            lines.append("    '''A text.'''")
        if self.chance(0.3):
            lines += ["    global level", "    level = n"]
        lines += self.block(size)
        results = [v for v, kind in self.scope.items() if kind != "func"]
        shown = self.rng.sample(results, min(3, len(results)))
        lines.append(f"    return ({', '.join(shown)},)")
        return lines

    def block(self, size: int) -> list[str]:
        lines: list[str] = []
        self.nesting += 1
        for _ in range(size):
            if self.chance([0, 0.4, 0.35, 0.2, 0.05, 0.0][min(self.nesting, 5)]):
                lines += self.compound()
            else:
                text = self.simple()
                while self.chance(0.15):
                    text += "; " + self.simple()
                lines.append(text)
        self.nesting -= 1
        return [_indented(line, 1) for line in lines]

    def inner(self, last: str | None = None) -> list[str]:
        """Writes a body, one level deeper; what it binds is forgotten."""
        scope = dict(self.scope)
        kept, self.kept = self.kept, frozenset(scope)
        lines = self.block(self.rng.randint(1, 3))
        if last is not None:
            lines.append("    " + last)
        self.scope, self.kept = scope, kept
        return lines

    def body(self, header: str, last: str | None = None) -> list[str]:
        """Writes a header with its body, sometimes on one line."""
        if self.chance(0.3):
            scope = dict(self.scope)
            kept, self.kept = self.kept, frozenset(scope)
            texts = [self.simple() for _ in range(self.rng.randint(0 if last else 1, 2))]
            self.scope, self.kept = scope, kept
            return [f"{header} {'; '.join([*texts, *([last] if last else [])])}"]
        return [header, *self.inner(last=last)]

    def leaving(self) -> str | None:
        """Returns a statement that leaves a block, or None."""
        choices = ["return n", "raise KeyError('k')", "raise ValueError(n)"]
        if self.yields:
            choices = ["return", "raise KeyError('k')"]
        if self.loops:
            choices += ["break", "continue"] * 2
        return self.rng.choice(choices) if self.chance(0.35) else None

    def compound(self) -> list[str]:
        forms = [
            self.if_, self.if_, self.for_, self.for_, self.while_, self.try_, self.try_, self.with_,
            self.match_, self.def_, self.class_,
        ]  # fmt: skip
        return self.rng.choice(forms)()

    def if_(self) -> list[str]:
        lines = self.body(f"if {self.test()}:", self.leaving())
        if self.chance(0.4):
            lines += self.body(f"elif {self.test()}:", self.leaving())
        if self.chance(0.5):
            lines += self.body("else:")
        return lines

    def for_(self) -> list[str]:
        xs, scope = self.items(1), dict(self.scope)
        i = self.bind("int")
        headers = [
            f"for {i} in range({self.number(1)} % 4):",
            f"for {i} in list({xs}):",
            f"for {i},{' '}k in enumerate({self.gap()}list({xs})):",
            f"for ({i},{self.gap()}k) in zip(list({xs}),{self.gap()}range(3)):",
            f"for {i} in gen({self.number(1)},{self.gap()}{xs}):",
            f"for {i} in list(chain({xs}, {self.number(1)})):",
            f"for {i}, *k in [({self.number(0)}, 1, 2),{self.gap()}(3, 4)]:",
            f"for {i} in {self.number(0)}, 2{self.rng.choice(['', ','])}:",
            f"for xs[-1] in range({self.number(0)} % 3):"
            if "xs" in self.scope
            else f"for {i} in ():",
        ]
        self.loops += 1
        header = self.rng.choice(headers)
        if i not in header:
            self.scope = dict(scope)
        lines = self.body(header, self.leaving())
        self.loops -= 1
        self.scope = scope
        if self.chance(0.25):
            lines += self.body("else:")
        return lines

    def while_(self) -> list[str]:
        self.names += 1
        count = f"c{self.names}"
        step = f"{count} -= 1"
        test = self.rng.choice(
            [
                f"{count} > 0",
                f"{count}",
                f"({count} >{self.gap()}0 and{self.gap()}{self.number(1)} < 99)",
            ]
        )
        start = f"{count} = {self.number(1)} % 4"
        if self.chance(0.3):
            return [start, f"while {test}: {step}; {self.simple_again()}"]
        scope, kept = dict(self.scope), self.kept
        self.kept = frozenset(scope)
        self.loops += 1
        body = [f"    {step}", *self.inner(last=self.leaving())]
        self.loops -= 1
        self.scope, self.kept = scope, kept
        lines = [start, f"while {test}:", *body]
        if self.chance(0.25):
            lines += self.body("else:")
        return lines

    def simple_again(self) -> str:
        scope, kept = dict(self.scope), self.kept
        self.kept = frozenset(scope)
        text = self.simple()
        self.scope, self.kept = scope, kept
        return text

    def try_(self) -> list[str]:
        lines = self.body("try:", self.leaving())
        handlers = self.rng.choice(
            [
                ["except Exception as error:"],
                ["except (IndexError,\n        KeyError):", "except Exception:"],
                ["except KeyError: ", "except (ValueError, ZeroDivisionError) as e:", "except:"],
                ["except (\n    IndexError,\n    ValueError,\n) as error:"],
                [],
            ]
        )
        for handler in handlers:
            lines += self.body(handler.rstrip(), self.leaving())
        if handlers and self.chance(0.3):
            lines += self.body("else:", self.leaving())
        if not handlers or self.chance(0.35):
            lines += self.body("finally:", self.leaving() if self.chance(0.3) else None)
        return lines

    def with_(self) -> list[str]:
        xs = self.items(1)
        scope = dict(self.scope)
        b = self.bind("box")
        headers = [
            f"with Box({xs}) as {b}:",
            f"with (Box({xs}) as {b},{self.gap()}Box([1]) as other):",
            f"with Box({xs}) as {b}, Box({self.gap()}{b}.items,{self.gap()}{self.number(1)}):",
            f"with Box({xs}) as {b}, \\\n        Box([2]):",
        ]
        lines = self.body(self.rng.choice(headers), self.leaving())
        self.scope = scope
        return lines

    def match_(self) -> list[str]:
        subject = self.rng.choice(
            [
                self.items(1),
                self.number(1),
                f"{{'op': {self.number(0)}, 'xs': {self.items(0)}}}",
                f"Box({self.items(0)})",
                f"({self.number(0)},{self.gap()}{self.items(0)})",
                "None",
            ]
        )
        g = self.gap
        patterns = [
            "[]", "[a]", f"[a,{g()}b]", f"[a,{g()}*rest]", f"(1 |{g()}2)", f"(1 | 2 |{g()}3) as a",
            f"{{'op': a,{g()}'xs': rest}}", "{'op': 1, **rest}", f"Box(size=a,{g()}items=rest)",
            "int(a)", "int() | None", f"(a, [b,{g()}*rest])", "None", "str()", "-1", "a",
            f"(\n        [a, *rest]{g()})",
        ]  # fmt: skip
        chosen = [p for p in self.rng.sample(patterns, 3) if p != "a"]
        lines = [f"match {subject}:"]
        for pattern in chosen:
            guard = f" if {self.test(1)}" if self.chance(0.3) else ""
            part = self.body(f"case {pattern}{guard}:", self.leaving())
            lines += [_indented(line, 1) for line in part]
        if self.chance(0.5) or not chosen:
            name = self.rng.choice(["_", "_", "a"])
            lines += [_indented(line, 1) for line in self.body(f"case {name}:")]
        return lines

    def def_(self) -> list[str]:
        if self.depth:
            return ["pass"]
        self.depth += 1
        outside, kept, loops = dict(self.scope), self.kept, self.loops
        self.loops, self.kept = 0, frozenset()
        changed = [name for name in self.have("int") if name != "n"][:1]
        self.yields = self.chance(0.3)
        xs = f"xs={self.items(0)}" if self.chance(0.5) else "xs=[4]"
        self.scope = {"n": "int", "xs": "list", **{v: k for v, k in outside.items() if k == "list"}}
        nonlocals = self.chance(0.6) and changed
        if nonlocals:
            self.scope[changed[0]] = "int"
        reads = set(self.scope) - {"n", "xs"}
        lines = []
        name = self.fresh("func")
        if not self.yields and self.chance(0.3):
            lines.append(self.rng.choice(["@deco(2)", f"@deco({self.gap()}{len(outside)})"]))
        lines.append(
            f"def {name}(n, {xs}):" if self.chance(0.8) else f"def {name}(\n    n,\n    {xs},\n):"
        )
        if nonlocals:
            lines.append(f"    nonlocal {changed[0]}; {changed[0]} += 1")
        self.names += 50  # so that it binds no name of the function around it
        self.kept = frozenset(reads)
        self.scope = {v: k for v, k in self.scope.items() if v in ("n", "xs", *changed)}
        lines += self.block(self.rng.randint(1, 3))
        generator = self.yields
        lines.append("    yield n" if generator else "    return n")
        self.depth -= 1
        self.yields = False
        self.scope, self.kept, self.loops = outside, kept, loops
        if generator:
            lines.append(f"got = list({name}({self.number(1)} % 3))")
            if self.chance(0.4):
                lines += [f"it = {name}(2); next(it); it.close()"]
        else:
            self.scope.setdefault(name, "func")
            lines.append(f"{self.bind('int')} = {name}({self.number(1)})")
        return lines

    def class_(self) -> list[str]:
        if self.depth:
            return ["pass"]
        self.names += 1
        name = f"C{self.names}"
        first = self.rng.choice(
            [
                "size = 5",
                "a = 1; b = a + 1",
                "kind: str = 'c'",
                "a = 1; b = [i + 1 for i in [2, 3]]",
            ]
        )
        if self.chance(0.4):
            return [f"class {name}: {first}", f"o = {name}(); o.part = {self.items(1)}"]
        base = self.rng.choice(["", "(Box)", "(\n        Box,\n    )"])
        return [
            f"class {name}{base}:",
            f"    {first}",
            "    for i in range(2): size = i",
            "    def get(self, by=2): return self.size * by",
            f"o = {name}([1])" if base else f"o = {name}()",
            f"o.part = o.get({self.number(1)})",
        ]


def _indented(text: str, indent: int) -> str:
    """Indents the first line: those after it lie inside brackets."""
    return "    " * indent + text
