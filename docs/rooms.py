"""Rooms of the code and the floors they stand on: the one list that tests and pictures follow.

    python -m docs.rooms            # rewrites the picture and the table in docs/architecture.md
    python -m docs.rooms --check    # exits with 1 where they do not show the code as it is

A room is a folder or a single module directly below a package. Imports run down only: a module may
import rooms on lower floors of its own package, and any room of a lower package. Standard library
only.
"""

import ast
import dataclasses
import functools
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "architecture.md"

# From the ground up. Rooms of one floor do not know each other.
FLOORS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "data_pipeline": (
        ("errors",),
        ("pages", "source", "terminal"),
        ("files",),
        ("tracing", "pyx", "endpoint", "seeds"),
        ("execution", "tokens", "verify", "questions"),
        ("claims",),
        ("monologue",),
        ("testcases", "teacher", "toy"),
        ("faults", "decontamination", "forms"),
        ("builder", "described"),
        ("commands",),
    ),
    "semcoder_jax": (
        ("errors",),
        ("cache", "config", "config_files", "data", "recipes"),
        ("model",),
        ("hf",),
        ("checkpoints",),
        ("loading",),
        ("training", "inference", "conversion"),
        ("evaluation", "server", "doctor"),
        ("reinforcement",),
        ("studies", "planner"),
        ("api", "demo", "integrations"),
        ("commands",),
        ("cli",),
    ),
}
# A package may import those that stand below it.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "data_pipeline": (),
    "semcoder_jax": ("data_pipeline",),
    "launch": ("semcoder_jax", "data_pipeline"),
    "benchmarks": ("launch", "semcoder_jax", "data_pipeline"),
}
# Modules that only start a command at the spelling that docs show.
SPELLINGS: Mapping[str, frozenset[str]] = {
    "data_pipeline": frozenset({"build", "decontaminate", "prepare", "records"}),
    "semcoder_jax": frozenset(
        {"evaluate", "improve", "reinforce", "sample", "serve", "study", "train"}
    ),
}
SPELLED_INSIDE = frozenset({"data_pipeline.monologue.ask"})
IMPORTING_CALLS = frozenset({"__import__", "import_module", "importlib.import_module"})


@dataclasses.dataclass(frozen=True)
class Import:
    """One import of a module of the repository: by whom, of what, in which line."""

    importer: str
    imported: str
    line: int


def python_files(package: str) -> list[Path]:
    return sorted((REPOSITORY / package).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imported_names(source: str, package: str) -> tuple[tuple[str, int], ...]:
    """Every module that a file of `package` imports, also inside a function, by its full name.

    `from a import b` gives `a.b`, which may be a module or a name in one.
    """
    return tuple(_find_imports(ast.parse(source), package))


def _find_imports(tree: ast.Module, package: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            prefix = parts[: len(parts) - node.level + 1] if node.level else []
            module = [*prefix, *([node.module] if node.module else [])]
            yield from ((".".join([*module, alias.name]), node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and _dotted_name(node.func) in IMPORTING_CALLS:
            name = node.args[0] if node.args else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value, node.lineno


def _dotted_name(node: ast.expr) -> str:
    """`a.b` of an attribute or a name; "" of any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""


def room_of(module: str) -> str:
    """The room that a module (or a name in one) belongs to; the package's own name for its root.

    Raises KeyError for a room that is not in FLOORS.
    """
    package, *rest = module.split(".")
    if package not in FLOORS or not rest:
        return package
    if rest[0] in SPELLINGS[package] or rest[-1] == "__main__" or module in SPELLED_INSIDE:
        return f"{package}.commands"
    if not any(rest[0] in floor for floor in FLOORS[package]):
        if (REPOSITORY / package / rest[0]).is_dir() or (
            REPOSITORY / package / f"{rest[0]}.py"
        ).is_file():
            raise KeyError(f"{module}: {rest[0]} is in no floor of docs/rooms.py")
        return package  # a name that the package's __init__ offers
    return f"{package}.{rest[0]}"


def floor_of(room: str) -> int:
    """Counted from the ground, over all packages; a package's root stands above its rooms."""
    height = 0
    for package, floors in FLOORS.items():
        if room == package:
            return height + len(floors)
        for number, rooms in enumerate(floors):
            if room in (f"{package}.{name}" for name in rooms):
                return height + number
        height += len(floors) + 1
    return height + list(PACKAGES).index(room)


def imports_of(package: str) -> list[Import]:
    """All imports among the repository's packages, in files of `package`."""
    found = []
    for path in python_files(package):
        module = module_name(path)
        inside = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for name, line in imported_names(path.read_text(encoding="utf-8"), inside):
            if name.split(".")[0] in PACKAGES:
                found.append(Import(module, name, line))
    return found


def upward(imports: list[Import]) -> list[str]:
    """The imports that do not run down, as sentences."""
    wrong = []
    for entry in imports:
        importer, imported = room_of(entry.importer), room_of(entry.imported)
        own, other = importer.split(".")[0], imported.split(".")[0]
        allowed = (
            importer == imported
            or other in PACKAGES[own]
            or (own == other and floor_of(imported) < floor_of(importer))
        )
        if not allowed:
            wrong.append(
                f"{entry.importer}:{entry.line} imports {entry.imported}, which is not below"
            )
    return wrong


# ---- the picture


def arrows() -> dict[str, set[str]]:
    """Room -> rooms that it imports."""
    found: dict[str, set[str]] = {}
    for package in PACKAGES:
        for entry in imports_of(package):
            importer, imported = room_of(entry.importer), room_of(entry.imported)
            if importer != imported:
                found.setdefault(importer, set()).add(imported)
    return found


def _needed(graph: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """The arrows that no path of other arrows implies."""

    def below(room: str) -> set[str]:
        return set().union(*({other} | below(other) for other in graph.get(room, ())))

    return [
        (room, other)
        for room in sorted(graph)
        for other in sorted(graph[room])
        if not any(other in below(between) for between in graph[room] - {other})
    ]


def picture() -> str:
    """The rooms as a Mermaid graph: arrows that others imply are left out.

    Raises ValueError where an import runs up, for then there may be circles.
    """
    wrong = [line for package in PACKAGES for line in upward(imports_of(package))]
    if wrong:
        raise ValueError("\n".join(wrong))
    lines = ["```mermaid", "flowchart TD"]
    for package, floors in FLOORS.items():
        lines.append(f"  subgraph {package}")
        lines += [f"    {package}.{room}[{room}]" for floor in reversed(floors) for room in floor]
        lines.append("  end")
    lines += [f"  {room} --> {other}" for room, other in _needed(arrows())]
    return "\n".join([*lines, "```"])


def table() -> str:
    """Every room with its floor and the rooms of its package that it imports."""
    graph = arrows()
    rows = ["| room | floor | imports |", "|---|--:|---|"]
    for package, floors in reversed(FLOORS.items()):
        for number, rooms in reversed(list(enumerate(floors))):
            for room in rooms:
                name = f"{package}.{room}"
                own = sorted(
                    other.split(".")[1]
                    for other in graph.get(name, ())
                    if other.startswith(f"{package}.")
                )
                rows.append(f"| `{name}` | {number} | {', '.join(own)} |")
    return "\n".join(rows)


def page(text: str) -> str:
    """`text` with picture and table put where their markers stand."""
    for name, drawn in (("picture", picture()), ("table", table())):
        pattern = rf"(<!-- {name}: python -m docs.rooms -->\n).*?(<!-- end of {name} -->)"
        text = re.sub(
            pattern, lambda match, new=drawn: f"{match[1]}{new}\n{match[2]}", text, flags=re.S
        )
    return text


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    before = PAGE.read_text(encoding="utf-8")
    after = page(before)
    if "--check" in arguments:
        if before != after:
            print(f"{PAGE.name} does not show the code as it is: run python -m docs.rooms")
        return int(before != after)
    PAGE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
