"""Copies programs as people do: renamed, reformatted, edited. Knows nothing of our normal form."""

import ast
import io
import keyword
import symtable
import tokenize


def bound_names(code):
    found, waiting = set(), [symtable.symtable(code, "here", "exec")]
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        found |= {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_parameter()}
        found |= {child.get_name() for child in table.get_children() if child.get_type() != "class"}
        found -= {s.get_name() for s in table.get_symbols() if s.is_imported()}
    return {name for name in found if name.isidentifier() and not keyword.iskeyword(name)}


def renamed(code, rng):
    """Every name that the program binds gets another, unless it also stands as an attribute, a
    keyword argument or in an f-string (which is one token up to 3.11)."""
    tokens = list(tokenize.generate_tokens(io.StringIO(code).readline))
    names = bound_names(code)
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if before.string == "." or (after.string == "=" and before.string in ("(", ",")):
            names.discard(token.string)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute):
            names.discard(node.attr)
        elif isinstance(node, ast.JoinedStr):
            names -= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    new = {name: f"{rng.choice('pqwz')}{n}_{rng.randrange(99)}" for n, name in enumerate(names)}
    return tokenize.untokenize(
        (t.type, new.get(t.string, t.string)) if t.type == tokenize.NAME else (t.type, t.string)
        for t in tokens
    )


def reformatted(code, rng):
    """Other white space, comments, quotes and brackets; a docstring; annotations."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for argument in node.args.args:
                argument.annotation = ast.Constant(rng.choice(["int", "list of them"]))
            node.body.insert(0, ast.Expr(ast.Constant("Written by somebody else.")))
    lines = ast.unparse(ast.fix_missing_locations(tree)).split("\n")
    inside = False
    changed = []
    for line in lines:
        inside ^= line.count("'''") % 2 == 1 or line.count('"""') % 2 == 1
        indent = line[: len(line) - len(line.lstrip())]
        changed.append(indent * 2 + line.lstrip() if not inside else line)
    text = "\n".join(changed)
    try:
        ast.parse(text)
    except SyntaxError:  # a text over several lines
        text = "\n".join(lines)
    return f"# copied\n\n{text}\n\n\n# the end\n"


def parses(code):
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return bool(code.strip())


def edited(code, rng):
    """One statement more, and one constant another."""
    tree = ast.parse(code)
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef))
    function.body.insert(0, ast.parse("extra = 12345").body[0])
    return ast.unparse(ast.fix_missing_locations(tree))
