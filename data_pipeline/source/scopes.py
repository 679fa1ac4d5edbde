"""Finds the scope of each name in a program, for renaming and for the needs of a function.

Follows Python's rules (reference, 4.2): functions, lambdas, classes and comprehensions are scopes;
functions do not see the names of the class that contains them; the first iterable of a
comprehension, default values, decorators and annotations belong to the enclosing scope. Type
parameters (Python 3.12, PEP 695) form a scope between the enclosing one and their function, class
or `type`; unlike a function, this scope sees the names of an enclosing class. Standard library
only. Does not use symtable, which omits the places of a name that a renaming has to change.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(eq=False)
class Scope:
    """A scope of a program.

    kind:  "module", "function", "class", "comprehension" or "type parameters"
    bound: the names that it binds
    """

    kind: str
    parent: "Scope | None"
    bound: set[str] = field(default_factory=set)
    outside: dict[str, str] = field(default_factory=dict)  # name -> "global" or "nonlocal"


@dataclass(frozen=True, eq=False)
class Use:
    """One occurrence of a name.

    node, attribute: locate its text: `getattr(node, attribute)`
    scope:           the scope that binds it; None for a builtin or an undefined name
    binds:           whether it gets a value here
    annotation:      whether it is only part of an annotation
    """

    node: ast.AST
    attribute: str
    name: str
    scope: Scope | None
    binds: bool
    annotation: bool


def find_uses(tree: ast.Module) -> Sequence[Use]:
    """Returns every occurrence of a name in a module, in the order of a tree walk."""
    walker = _Walker()
    walker.block(tree.body)
    return [
        Use(node, attribute, name, _binding(name, scope), binds, annotation)
        for node, attribute, name, scope, binds, annotation in walker.found
    ]


def find_needed_names(statements: Sequence[ast.stmt]) -> tuple[set[str], set[str]]:
    """Returns (free names that running the statements needs, names only used in annotations)."""
    free = [use for use in find_uses(ast.Module(list(statements), [])) if use.scope is None]
    run = {use.name for use in free if not use.annotation}
    return run, {use.name for use in free} - run


def _binding(name: str, scope: Scope) -> Scope | None:
    candidate: Scope | None = scope
    sees_class = True
    while candidate is not None:
        seen = sees_class or candidate.kind != "class"
        rule = candidate.outside.get(name) if seen else None
        if rule == "global":
            while candidate.parent is not None:
                candidate = candidate.parent
            return candidate if name in candidate.bound else None
        if name in candidate.bound and rule is None and seen:
            return candidate
        sees_class = sees_class and candidate.kind == "type parameters"
        candidate = candidate.parent
    return None


class _Walker(ast.NodeVisitor):
    def __init__(self) -> None:
        self.module = Scope("module", None)
        self.scope = self.module
        self.annotation = False
        self.found: list[tuple[ast.AST, str, str, Scope, bool, bool]] = []

    def note(self, node: ast.AST, attribute: str, binds: bool) -> None:
        name = getattr(node, attribute)
        scope = self.scope
        if binds:
            self.bind(name)
        self.found.append((node, attribute, name, scope, binds, self.annotation))

    def bind(self, name: str) -> None:
        is_global = self.scope.outside.get(name) == "global"
        (self.module if is_global else self.scope).bound.add(name)

    def block(self, nodes: Sequence[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def visit_annotation(self, node: ast.AST | None) -> None:
        if node is not None:
            before, self.annotation = self.annotation, True
            self.visit(node)
            self.annotation = before

    def within(self, kind: str) -> Scope:
        self.scope = Scope(kind, self.scope)
        return self.scope

    def leave(self) -> None:
        assert self.scope.parent is not None
        self.scope = self.scope.parent

    # ---- names

    def visit_Name(self, node: ast.Name) -> None:
        self.note(node, "id", not isinstance(node.ctx, ast.Load))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        inner = self.scope
        while self.scope.kind == "comprehension" and self.scope.parent is not None:
            self.scope = self.scope.parent
        self.visit(node.target)
        self.scope = inner

    def visit_Global(self, node: ast.Global) -> None:
        for name in node.names:
            self.scope.outside[name] = "global"

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        for name in node.names:
            self.scope.outside[name] = "nonlocal"

    def visit_alias(self, node: ast.alias) -> None:
        if node.asname:
            self.note(node, "asname", True)
        elif "." not in node.name and node.name != "*":
            self.note(node, "name", True)
        elif "." in node.name:
            self.bind(node.name.split(".")[0])

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self.visit(node.type)
        if node.name:
            self.note(node, "name", True)
        self.block(node.body)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.pattern is not None:
            self.visit(node.pattern)
        if node.name:
            self.note(node, "name", True)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self.note(node, "name", True)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.generic_visit(node)
        if node.rest:
            self.note(node, "rest", True)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit_annotation(node.annotation)
        if node.value is not None:
            self.visit(node.value)
        self.visit(node.target)

    # ---- scopes

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.block(node.decorator_list)
        self.note(node, "name", True)
        self.defaults(node.args)
        self.type_parameters(node)
        self.annotations(node.args)
        self.visit_annotation(node.returns)
        self.within("function")
        self.parameters(node.args)
        self.block(node.body)
        self.leave()
        self.leave()

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.defaults(node.args)
        self.within("function")
        self.parameters(node.args)
        self.visit(node.body)
        self.leave()

    def type_parameters(self, node: ast.AST) -> None:
        """Enters the scope of the node's type parameters, which may be empty."""
        self.within("type parameters")
        parameters = getattr(node, "type_params", [])  # not in Python 3.11
        for parameter in parameters:
            self.note(parameter, "name", True)
        for parameter in parameters:
            self.visit_annotation(getattr(parameter, "bound", None))
            self.visit_annotation(getattr(parameter, "default_value", None))

    def visit_TypeAlias(self, node: Any) -> None:
        """Visits `type Name[T] = value`, whose value Python evaluates lazily."""
        self.visit(node.name)
        self.type_parameters(node)
        self.visit_annotation(node.value)
        self.leave()

    def defaults(self, arguments: ast.arguments) -> None:
        self.block([d for d in (*arguments.defaults, *arguments.kw_defaults) if d is not None])

    def annotations(self, arguments: ast.arguments) -> None:
        for argument in all_arguments(arguments):
            self.visit_annotation(argument.annotation)

    def parameters(self, arguments: ast.arguments) -> None:
        for argument in all_arguments(arguments):
            self.note(argument, "arg", True)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.block(node.decorator_list)
        self.note(node, "name", True)
        self.type_parameters(node)
        self.block([*node.bases, *node.keywords])
        self.within("function").bound.add("__class__")  # methods and super() see it
        self.within("class")
        self.block(node.body)
        self.leave()
        self.leave()
        self.leave()

    def visit_comprehension_node(self, node: ast.AST) -> None:
        first, *rest = node.generators  # type: ignore[attr-defined]
        self.visit(first.iter)
        self.within("comprehension")
        self.visit(first.target)
        self.block(first.ifs)
        self.block(rest)
        if isinstance(node, ast.DictComp):
            self.block([node.key, node.value])
        else:
            self.visit(node.elt)  # type: ignore[attr-defined]
        self.leave()

    visit_ListComp = visit_comprehension_node
    visit_SetComp = visit_comprehension_node
    visit_DictComp = visit_comprehension_node
    visit_GeneratorExp = visit_comprehension_node


def all_arguments(arguments: ast.arguments) -> list[ast.arg]:
    """Returns all parameters in the order of the signature, including `*args` and `**kwargs`."""
    return [
        *arguments.posonlyargs,
        *arguments.args,
        *([arguments.vararg] if arguments.vararg else []),
        *arguments.kwonlyargs,
        *([arguments.kwarg] if arguments.kwarg else []),
    ]
