"""Generates functions with many scopes: few names, bound and used in every possible way."""

from hypothesis import strategies as st

names = st.sampled_from("abcde")


def build(template: str, *parts):
    return st.builds(template.format, *parts)


def indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))


def _expressions(inner):
    return (
        build("({} + {})", inner, inner)
        | build("[{} for {} in {} if {}]", inner, names, inner, inner)
        | build("{{{}: {} for {} in {} for {} in {}}}", inner, inner, names, inner, names, inner)
        | build("(lambda {}, *{}_: {})", names, names, inner)
        | build("(lambda {}={}: {})", names, inner, inner)
        | build("({} := {})", names, inner)
        | build("f'{{{}}}'", names)
    )


expressions = st.recursive(names, _expressions, max_leaves=3)
simple = (
    build("{} = {}", names, expressions)
    | build("{} += {}", names, expressions)
    | build("({}, *{}), {}.x = {}", names, names, names, expressions)
    | build("{}: {} = {}", names, names, expressions)
    | build("del {}", names)
    | build("import {}.x, m as {}", names, names)
    | build("from m import {} as {}", names, names)
    | build("print({})", expressions)
)
declarations = st.just("pass") | build("global {}", names) | build("nonlocal {}", names)


def _blocks(body):
    body = body.map(indented)
    scope = build("  {}\n{}", declarations, body)
    return (
        build("for {} in {}:\n{}", names, expressions, body)
        | build("with {} as {}:\n{}", expressions, names, body)
        | build("if {}:\n{}", expressions, body)
        | build("def {}({}, {}_={}):\n{}", names, names, names, expressions, scope)
        | build("class {}({}):\n{}", names, names, scope)
        | build("try:\n{}\nexcept {} as {}:\n{}", body, names, names, body)
        | build(
            "match {}:\n  case [{}, *{}] if {}:\n{}",
            *(names, names, names, names, body.map(indented)),
        )
    )


statements = st.recursive(
    simple,
    lambda inner: _blocks(st.lists(inner, min_size=1, max_size=3).map("\n".join)),
    max_leaves=5,
)
functions = build(
    "def f(a):\n  {}\n{}\n",
    declarations,
    st.lists(statements, min_size=1, max_size=3).map("\n".join).map(indented),
)
