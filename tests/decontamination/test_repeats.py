"""Tests which programs of a corpus repeat another: by text, by what they do, without chains."""

import random
from functools import partial

import pytest

from data_pipeline.decontamination.behaviour import differ
from data_pipeline.decontamination.fragments import program_fragments
from data_pipeline.decontamination.overlap import NEAR, Item, Removal
from data_pipeline.decontamination.repeats import (
    Likeness,
    block_keys,
    find_alike,
    find_repeats,
    settle,
)
from data_pipeline.seeds import Seed, read_unit, units
from data_pipeline.testcases import EXPLORATION_LIMITS
from tests.support.alike_pairs import PAIRS, SAME
from tests.support.program_copies import edited, reformatted, renamed
from tests.support.sandboxes import open_sandbox


@pytest.fixture(scope="module")
def sandbox():
    with open_sandbox(workers=1, limits=EXPLORATION_LIMITS) as opened:
        yield opened


@pytest.mark.parametrize(("verdict", "name", "one", "other"), PAIRS, ids=[p[1] for p in PAIRS])
def test_a_persons_verdicts(verdict, name, one, other, sandbox):
    for first, second in ((one, other), (other, one)):
        removals = find_repeats(
            [Item("a", first), Item("b", second)], partial(differ, sandbox=sandbox)
        )
        assert [removal.id for removal in removals] == (["b"] if verdict == SAME else [])


def test_helpers_that_many_share_make_nothing_alike(sandbox):
    """Twelve functions over one helper of fifty lines: none repeats another."""
    helper = "def _table(n):\n    rows = []\n" + "".join(
        f"    if n > {i}:\n        rows.append([{i}, n - {i}])\n" for i in range(25)
    )
    helper += "    return rows\n\n\n"
    bodies = [
        "len(_table(n))", "_table(n)[0]", "_table(n)[-1]", "sum(row[0] for row in _table(n))",
        "sum(row[1] for row in _table(n))", "[row[0] for row in _table(n)]",
        "[row[1] for row in _table(n)]", "max(_table(n))", "min(_table(n))", "_table(n)[::-1]",
        "bool(_table(n))", "str(_table(n))",
    ]  # fmt: skip
    items = [
        Item(f"{number:02}", f"{helper}def f(n):\n    return {body}")
        for number, body in enumerate(bodies)
    ]
    assert find_repeats(items, partial(differ, sandbox=sandbox)) == []


# ---- pairs into decisions ---------------------------------------------------------------------


def near(one: str, other: str) -> Likeness:
    return Likeness(one, other, "near", 0.8, certain=False)


def test_a_chain_removes_only_what_is_near_to_one_that_stays():
    # a - b - c - d: b goes for a; c is near to b alone, which has gone, and stays; d goes for c.
    chain = [near("a", "b"), near("b", "c"), near("c", "d")]
    expected = [Removal("b", "near", "a", 0.8), Removal("d", "near", "c", 0.8)]
    assert settle(chain) == expected
    assert settle(reversed(chain)) == expected


def test_copies_of_a_removed_program_go_with_it():
    same = Likeness("b", "c", "exact", 1.0, certain=True)
    assert settle([near("a", "b"), same]) == [
        Removal("b", "near", "a", 0.8), Removal("c", "near", "a", 0.8),
    ]  # fmt: skip


def corpus(size=120):
    """Programs with exact, renamed, and edited copies of one another among them."""
    rng = random.Random(7)
    found = [
        one
        for name in ("statistics", "difflib", "textwrap", "bisect")
        for unit in units(name)
        for one in read_unit(unit)
        if isinstance(one, Seed)
    ]
    items = [Item(f"{rng.randrange(10**6):06}", seed.code, "", seed.name) for seed in found]
    for kind in (renamed, reformatted, edited, lambda code, rng: code):
        for item in rng.sample(items, 12):
            items.append(Item(f"{rng.randrange(10**6):06}", kind(item.code, rng)))
    return items[:size]


def test_every_removed_program_is_near_to_one_that_stays():
    items = corpus()
    by_id = {item.id: item for item in items}
    removals = find_repeats(items)
    gone = {removal.id for removal in removals}
    assert {removal.reason for removal in removals} == {"exact", "normalized", "near"}
    for removal in removals:
        assert removal.matched not in gone
        assert removal.matched < removal.id
        pair = [program_fragments(by_id[name].code)[0] for name in (removal.id, removal.matched)]
        one, other = (fragment.windows for fragment in pair)
        assert len(one & other) >= NEAR * len(one | other)
    # No two that stay have one normal form.
    stay = [program_fragments(item.code)[0].strict for item in items if item.id not in gone]
    assert len(stay) == len(set(stay))


def test_no_order_and_no_partition_matters():
    items = corpus()
    expected = find_repeats(items)
    rng = random.Random(5)
    for _ in range(3):
        rng.shuffle(items)
        assert find_repeats(items) == expected
    # As a pipeline does it: grouped by key, the groups anywhere, in any order.
    groups = {}
    for item in items:
        for key in block_keys(item):
            groups.setdefault(key, []).append(item)
    found = []
    for key in rng.sample(sorted(groups), len(groups)):
        found += [pair[0] for pair in find_alike(rng.sample(groups[key], len(groups[key])))]
    assert settle(rng.sample(found, len(found))) == expected


def test_what_is_no_python_is_compared_as_words():
    one, other = "print 'x' if y\nfoo bar baz qux quux", "print 'x'  if y\n\n foo bar baz qux quux"
    assert [removal.id for removal in find_repeats([Item("a", one), Item("b", other)])] == ["b"]
    assert find_repeats([Item("a", ""), Item("b", "")]) == []


def test_windows_are_the_same_on_every_python():
    """Pythons unparse f-strings with other quotes; the digest was computed on 3.11 and 3.13."""
    programs = [
        "def f(d, n):\n    return f\"{d['key']!r:>{n}} of {n + 1}\" + f'{n}'",
        "def f(d, n):\n    return f'''{d[\"key\"]!r:>{n}} of {n + 1}''' + f\"{n}\"",
    ]
    one, other = (program_fragments(program)[0] for program in programs)
    assert one == other
    assert sum(one.windows) % 10**12 == 690_891_260_902
