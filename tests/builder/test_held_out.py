"""Tests the held-out split: no shared function on both sides, the share, order and growth."""

import ast
import json
import random

import pytest

from data_pipeline.builder import BuildOptions, build
from data_pipeline.builder.groups import seed_from_json
from data_pipeline.builder.held_out import cluster_seeds, function_digests, held_out_seeds
from data_pipeline.builder.selection import SEEDS, read_lines

HELPER = """
def _digits(n):
    found = []
    while n:
        found.append(n % 10)
        n //= 10
    return found
"""


def alone(count, start=0):
    """Seeds that share nothing."""
    return {f"{n:012x}": {f"own {n}"} for n in range(start, start + count)}


def test_seeds_that_share_a_function_by_any_way_are_one_cluster():
    functions = {"a": {"1", "2"}, "b": {"2", "3"}, "c": {"3"}, "d": {"4"}, "e": {"5"}, "f": {"6"}}
    assert cluster_seeds(functions, [("e", "f"), ("f", "gone")]) == [
        ["a", "b", "c"], ["d"], ["e", "f"],
    ]  # fmt: skip


def test_the_share_is_that_asked_for():
    rng = random.Random(0)
    for share in (0.02, 0.1, 0.3):
        functions = alone(2000)
        for name in functions:  # a third share helpers, one of them a hundred functions
            if rng.random() < 0.3:
                functions[name].add(f"helper {rng.randrange(150)}")
        for name in list(functions)[:100]:
            functions[name].add("everybody's")
        chosen = held_out_seeds(functions, (), share)
        assert 0.6 * share < len(chosen) / len(functions) < 1.4 * share
        kept = set().union(*(functions[name] for name in functions if name not in chosen))
        assert not any(functions[name] & kept for name in chosen)
    assert held_out_seeds(functions, (), 0.0) == frozenset()
    assert held_out_seeds({}, (), 0.3) == frozenset()


def test_a_corpus_of_one_cluster_is_for_training():
    assert held_out_seeds({"a": {"1"}, "b": {"1"}}, (), 0.5) == frozenset()


def test_order_does_not_matter_and_growth_changes_little():
    functions = alone(500)
    first = held_out_seeds(functions, (), 0.1)
    shuffled = dict(random.Random(1).sample(list(functions.items()), len(functions)))
    assert held_out_seeds(shuffled, (), 0.1) == first
    grown = functions | alone(500, start=500)
    assert held_out_seeds(grown, (), 0.1) & functions.keys() == first


def test_functions_are_told_apart_by_content_alone():
    program = HELPER + "\n\ndef total(n):\n    return sum(_digits(n))\n"
    renamed = program.replace("found", "out").replace("while n:", "while n:  # digits")
    assert len(function_digests(program)) == 2
    assert function_digests(renamed) == function_digests(program)
    other = HELPER + "\n\nclass C:\n    def f(self, n):\n        return _digits(n)\n"
    assert len(function_digests(other) & function_digests(program)) == 1
    assert function_digests("def f(:") == set()


def whole_functions(code):
    """Every function and class of a program, as text; knows nothing of our normal form."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {ast.unparse(node) for node in ast.walk(ast.parse(code)) if isinstance(node, kinds)}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Ten functions alone, four over one helper, three over another, three near ones."""
    folder = tmp_path_factory.mktemp("clustered")
    lines = [HELPER, "def _pairs(xs):\n    return [(a, b) for a, b in zip(xs, xs[1:])]\n"]
    lines += [
        f"def alone_{n}(x: int) -> int:\n    return x * {n} {'+-*'[n % 3]} (x {'-+'[n % 2]} {n})\n"
        for n in range(10)
    ]
    uses = ("sum(_digits(n))", "_digits(n)[::-1]", "len(_digits(n)) > 2", "max(_digits(n) + [0])")
    lines += [f"def digit_{i}(n: int):\n    return {use}\n" for i, use in enumerate(uses)]
    uses = ("[b - a for a, b in _pairs(xs)]", "all(a < b for a, b in _pairs(xs))", "_pairs(xs)[:1]")
    lines += [f"def pair_{i}(xs: list[int]):\n    return {use}\n" for i, use in enumerate(uses)]
    body = "    out = []\n    for x in xs:\n        if x > {n}:\n            out.append(x)\n"
    lines += [
        f"def above_{n}(xs: list[int]):\n{body.format(n=n)}    return out\n" for n in (1, 3, 5)
    ]
    lines.append("def ends(n: int):\n    return '<|endoftext|>' * n\n")
    (folder / "module.py").write_text("\n\n".join(lines))
    return folder


def test_no_held_out_program_shares_a_function_with_training(sources, tmp_path):
    options = BuildOptions((str(sources),), inputs=1, faults=1, heldout_share=0.3)
    report = build(options, tmp_path, progress=False)
    programs = {"train": set(), "eval": set()}
    found = {}
    for folder in (tmp_path / ".work" / "seeds").iterdir():
        found |= {seed.id: seed.code for seed in map(seed_from_json, read_lines(folder, SEEDS))}
    assert len(found) == 23  # with the helpers
    for split, texts in programs.items():
        for line in (tmp_path / f"{split}.jsonl").open():
            row = json.loads(line)
            if row.get("id", "").split("_")[0] in ("fwd", "bwd"):
                texts.add(found[row["id"].split("_")[2]])
    assert 2 <= len(programs["eval"]) <= 10
    train = set().union(*map(whole_functions, programs["train"]))
    held_out = set().union(*map(whole_functions, programs["eval"]))
    assert train
    assert not held_out & train
    # Near ones that differ are on one side too.
    above = [{name for text in texts for name in text.split() if name.startswith("above_")}
             for texts in programs.values()]  # fmt: skip
    assert sorted(map(len, above)) == [0, 3]
    assert "share a whole function with training: 0" in (tmp_path / "report.html").read_text()
    assert report.tally.get("held out")["functions and classes"] == len(held_out)
    # No record holds the text of a control token.
    assert report.tally.get("records refused")["text of a control token: <|endoftext|>"] >= 2
    for name in ("train.jsonl", "eval.jsonl", "problems.jsonl"):
        assert "endoftext" not in (tmp_path / name).read_text()
