"""Writes the first two parts of a monologue: the function's purpose and its properties."""

import ast
import re

from data_pipeline.claims import Claim, Place
from data_pipeline.monologue.program import Program
from data_pipeline.monologue.purpose import Purpose
from data_pipeline.monologue.speech import Join, Part, Sentence, Speaker, join
from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.source.scopes import all_arguments
from data_pipeline.tracing.replay import Replay

_FEWEST_WORDS = 6
_MOST_QUOTE = 160
_MOST_PROPERTIES = 3
_MOST_CODE = 50
_MARKUP = re.compile(
    r"https?://|www\.|``|:\w+:`|\.\. |\|>|>>>|@param|:param|:return|<[a-z/]|\*\*|\$|[⟦⟧\[\]`\"{}\\]"
)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def introduction(
    run: Replay, program: Program, speaker: Speaker, *, labels: bool = True
) -> tuple[list[Sentence], list[Sentence]]:
    """Returns the sentences on the function's purpose, and those on its properties."""
    function = program.definition(run.events[0]) if run.events else None
    introducer = _Introducer(run, program, speaker, "" if labels else " bare")
    purpose = introducer.purpose(function)
    told = {(claim.kind, claim.subject) for sentence in purpose for claim in sentence.claims}
    return purpose, introducer.properties(function, told)


def quotable(docstring: str | None) -> str:
    """Returns a docstring's first sentence, if it is plain prose of some length; else ""."""
    if not docstring:
        return ""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    sentence = re.split(r"(?<=[.!?;])\s", paragraph)[0]
    if _MARKUP.search(sentence) or len(sentence) > _MOST_QUOTE or not sentence.isprintable():
        return ""
    words = re.findall(r"[A-Za-z][A-Za-z'-]*", sentence)
    is_prose = len(words) >= _FEWEST_WORDS and len(words) >= 0.7 * len(sentence.split())
    return sentence if is_prose else ""


class _Introducer:
    def __init__(self, run: Replay, program: Program, speaker: Speaker, suffix: str):
        self.run, self.program, self.say, self.suffix = run, program, speaker.say, suffix
        self.speaker = speaker
        self.code = program.source.code

    def purpose(self, function: _Function | None) -> list[Sentence]:
        if function is None:
            return []
        place = Place(function.lineno)
        names = ", ".join(_spelled(function.args))
        takes = Claim("takes", place, function.name, names)
        parts: list[Part] = [self.say("takes" if names else "takes nothing", takes)]
        quote = quotable(ast.get_docstring(function))
        if quote:
            told = self.say("quote", Claim("quote", place, function.name, quote))
            parts += [Join.STOP, told]
        sentences = Purpose(self.speaker, self.program.source).sentences(function.body)
        if not quote or len(sentences) == 1:
            parts += [part for sentence in sentences for part in sentence]
        sentence = join(parts)
        return [] if sentence is None else [sentence]

    def properties(self, function: _Function | None, told: set[tuple[str, str]]) -> list[Sentence]:
        """Tells the loops and branches that the purpose has not told, and facts of the run."""
        parts: list[Part] = []
        seen = set(told)
        for node in ast.walk(function) if function is not None else ():
            claim = self._branching(node)
            if claim is None or (claim.kind, claim.subject) in seen or not _is_quoted(claim):
                continue
            if len(parts) < _MOST_PROPERTIES:
                seen.add((claim.kind, claim.subject))
                parts.append(self.say(f"property {claim.kind}{self.suffix}", claim))
        parts += [*self._calls(function), self._globals(function), *self._mutations(function)]
        sentences = [join([part]) for part in [*parts, self._result()]]
        return [sentence for sentence in sentences if sentence is not None]

    def _branching(self, node: ast.AST) -> Claim | None:
        """Returns a claim about a statement that decides which line runs next."""
        match node:
            case ast.For(target=target, iter=iterated):
                code, value = self.code(iterated, _MOST_CODE), self.code(target) or ""
                return Claim("loop", Place(node.lineno), code or "", value)
            case ast.If(test=test):
                return Claim("test", Place(node.lineno), self.code(test, _MOST_CODE) or "")
            case ast.While(test=test) if not isinstance(test, ast.Constant):
                return Claim("while", Place(node.lineno), self.code(test, _MOST_CODE) or "")
            case ast.Raise(exc=ast.Call(func=kind)) | ast.Raise(exc=ast.Name() as kind):
                return Claim("throws", Place(node.lineno), self.code(kind, _MOST_CODE) or "")
        return None

    def _calls(self, function: _Function | None) -> list[Part]:
        name = function.name if function is not None else ""
        place = Place(function.lineno if function is not None else 0)
        called = dict.fromkeys(e.function.rpartition(".")[2] for e in self.run.events[1:]
                               if e.kind == "call" and self.program.definition(e))  # fmt: skip
        parts: list[Part] = []
        if name in called and self._is_recursive(name):
            parts.append(self.say("recursive", Claim("recursive", place, name)))
        helpers = [Claim("helper", place, other) for other in called
                   if other != name and not other.startswith("__")][:4]  # fmt: skip
        return [*parts, self.say(f"helper{self.suffix}", *helpers) if helpers else None]

    def _is_recursive(self, name: str) -> bool:
        open_depths: list[tuple[int, int]] = []
        for at, event in enumerate(self.run.events):
            if event.kind == "call" and event.function.rpartition(".")[2] == name:
                if any(last > at for _, last in open_depths):
                    return True
                open_depths.append(self.run.frames[event.frame])
        return False

    def _globals(self, function: _Function | None) -> Part:
        if function is None:
            return None
        local = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)
                 and not isinstance(n.ctx, ast.Load)} | set(_names(function.args))  # fmt: skip
        read = dict.fromkeys(n.id for n in ast.walk(function) if isinstance(n, ast.Name)
                             and n.id in self.program.globals and n.id not in local)  # fmt: skip
        place = Place(function.lineno)
        claims = [Claim("constant", place, name, self.program.globals[name]) for name in read]
        return self.say("constants", *claims[:3]) if claims else None

    def _mutations(self, function: _Function | None) -> list[Part]:
        """Tells the arguments that the run changes although no statement binds their name."""
        if function is None:
            return []
        stored = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)
                  and not isinstance(n.ctx, ast.Load)}  # fmt: skip
        place = Place(function.lineno)
        return [
            self.say("mutated", Claim("mutated", place, name))
            for name in self.run.events[0].changed
            if name not in stored and len(set(self.run.history(0, name)[1])) > 1
        ][:3]

    def _result(self) -> Part:
        text = self.run.trace.result or ""
        try:
            value = parse_literal(text)
        except LiteralError:
            name = text.partition("(")[0]
            shown = name.isidentifier() and text.endswith(")")
            kind = Claim("type", Place(0), "", name)
            return self.say(f"object{self.suffix}", kind) if shown else None
        kind = Claim("type", Place(0), "", type(value).__name__)
        if isinstance(value, list | tuple | str | dict | set):
            size = {0: " empty", 1: " one"}.get(len(value), "")
            length = Claim("length", Place(0), "", str(len(value)))
            return self.say(f"{kind.value}{size}{self.suffix}", kind, length)
        return self.say(f"{kind.value}{self.suffix}", kind) if kind.value in _PLAIN else None


def _is_quoted(claim: Claim) -> bool:
    """Returns whether the code that a claim is about could be quoted."""
    return bool(claim.subject) and (bool(claim.value) or claim.kind not in ("sets", "loop"))


_PLAIN = frozenset(("int", "float", "bool", "NoneType"))


def _names(arguments: ast.arguments) -> list[str]:
    return [argument.arg for argument in all_arguments(arguments)]


def _spelled(arguments: ast.arguments) -> list[str]:
    stars = {arguments.vararg: "*", arguments.kwarg: "**"}
    return [stars.get(a, "") + a.arg for a in all_arguments(arguments)]
