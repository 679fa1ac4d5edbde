"""Which scope each name of a program belongs to: for renaming, and for what a function needs.

Python's own rules (reference, 4.2): functions, lambdas, classes and comprehensions are scopes; a
class's names are not seen from the functions in it; the first iterable of a comprehension, default
values, decorators and annotations belong to the scope around. Type parameters (Python 3.12, PEP
695) are a scope between it and the function, class or `type` that has them; such a scope, unlike a
function, sees the names of a class around it. Standard library only. Written here because symtable
gives the scope of a name but not the places where it stands, which a renaming has to change.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(eq=False)
class Scope:
    """kind: "module", "function", "class", "comprehension" or "type parameters". bound: the names
    it binds."""

    kind: str
    parent: "Scope | None"
    bound: set[str] = field(default_factory=set)
    outside: dict[str, str] = field(default_factory=dict)  # name -> "global" or "nonlocal"


@dataclass(frozen=True, eq=False)
class Use:
    """One place where a name stands.

    node, attribute: where its text is (`getattr(node, attribute)`)
    scope:           that binds it; None: no scope of this tree does (a builtin, or undefined)
    binds:           whether it is given a value here
    annotation:      whether it is only part of an annotation
    """

    node: ast.AST
    attribute: str
    name: str
    scope: Scope | None
    binds: bool
    annotation: bool


def uses(tree: ast.Module) -> Sequence[Use]:
    """All names of a module, in the order of a walk through it."""
    walker = _Walker()
    walker.block(tree.body)
    return [
        Use(node, attribute, name, _binding(name, scope), binds, annotation)
        for node, attribute, name, scope, binds, annotation in walker.found
    ]


def needed_names(statements: Sequence[ast.stmt]) -> tuple[set[str], set[str]]:
    """(names that running these needs from outside, names that only annotations mention)."""
    free = [use for use in uses(ast.Module(list(statements), [])) if use.scope is None]
    run = {use.name for use in free if not use.annotation}
    return run, {use.name for use in free} - run


def _binding(name: str, scope: Scope) -> Scope | None:
    asked: Scope | None = scope
    sees_class = True
    while asked is not None:
        seen = sees_class or asked.kind != "class"
        rule = asked.outside.get(name) if seen else None
        if rule == "global":
            while asked.parent is not None:
                asked = asked.parent
            return asked if name in asked.bound else None
        if name in asked.bound and rule is None and seen:
            return asked
        sees_class = sees_class and asked.kind == "type parameters"
        asked = asked.parent
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

    def annotated(self, node: ast.AST | None) -> None:
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
        self.annotated(node.annotation)
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
        self.annotated(node.returns)
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
        """Enters the scope of the node's type parameters, which is empty where it has none."""
        self.within("type parameters")
        parameters = getattr(node, "type_params", [])  # not in Python 3.11
        for parameter in parameters:
            self.note(parameter, "name", True)
        for parameter in parameters:
            self.annotated(getattr(parameter, "bound", None))
            self.annotated(getattr(parameter, "default_value", None))

    def visit_TypeAlias(self, node: Any) -> None:
        """`type Name[T] = value`; the value is computed when somebody asks for it."""
        self.visit(node.name)
        self.type_parameters(node)
        self.annotated(node.value)
        self.leave()

    def defaults(self, arguments: ast.arguments) -> None:
        self.block([d for d in (*arguments.defaults, *arguments.kw_defaults) if d is not None])

    def annotations(self, arguments: ast.arguments) -> None:
        for argument in all_arguments(arguments):
            self.annotated(argument.annotation)

    def parameters(self, arguments: ast.arguments) -> None:
        for argument in all_arguments(arguments):
            self.note(argument, "arg", True)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.block(node.decorator_list)
        self.note(node, "name", True)
        self.type_parameters(node)
        self.block([*node.bases, *node.keywords])
        self.within("function").bound.add("__class__")  # which the methods see, as super() does
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
    """The parameters in the order of the signature, `*args` and `**kwargs` included."""
    return [
        *arguments.posonlyargs,
        *arguments.args,
        *([arguments.vararg] if arguments.vararg else []),
        *arguments.kwonlyargs,
        *([arguments.kwarg] if arguments.kwarg else []),
    ]
