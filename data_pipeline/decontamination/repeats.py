"""Finds the programs of a corpus that repeat another one of it.

Two programs are alike if the function asked for is alike and so is the whole: helpers that many
functions share make them no more alike. Alike programs repeat each other unless they differ in what
they do (`behaviour`). A program is removed only for one that stays, so that no chain of small steps
removes a different function.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from data_pipeline.decontamination.fragments import (
    bands,
    entry_place,
    entry_windows,
    jaccard,
    program_fragments,
)
from data_pipeline.decontamination.overlap import NEAR, REASONS, Item, Removal

Differ = Callable[[Item, Item], bool]


@dataclass(frozen=True)
class Likeness:
    """Holds two items that look alike.

    Args:
      one, other: their ids, the smaller first.
      reason: "exact", "normalized" or "near".
      similarity: 1.0 for "exact" and "normalized", else the smaller Jaccard similarity of the
        functions asked for and of the whole programs.
      certain: whether their normal forms are equal, so that they do the same.
    """

    one: str
    other: str
    reason: str
    similarity: float
    certain: bool


def block_keys(item: Item) -> Sequence[str]:
    """Returns the keys under which an item is grouped with items that may be alike.

    Alike items share a key (almost surely, see `fragments.BANDS`). Group items by key, call
    `find_alike` on each group, let `behaviour` judge the distinct pairs, then call `settle`.
    """
    fragments = program_fragments(item.code)
    if not fragments:
        return ()
    whole = fragments[0]
    keys = [
        f"band {number} {blake2b(band, digest_size=8).hexdigest()}"
        for number, band in enumerate(bands(whole.windows))
    ]
    return (f"strict {whole.strict}", f"loose {whole.loose}", *keys)


def find_alike(group: Iterable[Item]) -> list[tuple[Likeness, Item, Item]]:
    """Returns the pairs of a group that look alike.

    Of items with equal normal forms only the one with the smallest id is compared with others.
    """
    found: list[tuple[Likeness, Item, Item]] = []
    first: dict[tuple[str, int | None], Item] = {}
    for item in sorted(group, key=lambda item: item.id):
        fragments = program_fragments(item.code)
        if not fragments:
            continue
        same = first.setdefault((fragments[0].strict, entry_place(item.code, item.entry)), item)
        if same is not item:
            reason = "exact" if same.code.strip() == item.code.strip() else "normalized"
            found.append((Likeness(same.id, item.id, reason, 1.0, True), same, item))
            continue
        pairs = ((_likeness(other, item), other) for other in first.values() if other is not item)
        found += [(likeness, other, item) for likeness, other in pairs if likeness]
    return found


def _likeness(one: Item, other: Item) -> Likeness | None:
    whole, other_whole = program_fragments(one.code)[0], program_fragments(other.code)[0]
    similarity = jaccard(whole.windows, other_whole.windows)
    if similarity < NEAR:
        return None
    asked, other_asked = (entry_windows(item.code, item.entry) for item in (one, other))
    if asked is not None and other_asked is not None:
        similarity = min(similarity, jaccard(asked, other_asked))
    if similarity < NEAR:
        return None
    if whole.loose == other_whole.loose and similarity == 1.0:
        return Likeness(one.id, other.id, "normalized", 1.0, False)
    return Likeness(one.id, other.id, "near", round(similarity, 4), False)


def settle(repeats: Iterable[Likeness]) -> list[Removal]:
    """Decides which items go, given the pairs that repeat each other; sorted by id.

    Takes the items by id; one goes if it repeats a smaller one that stays.
    """
    smaller: dict[str, list[Likeness]] = defaultdict(list)
    for likeness in set(repeats):
        smaller[likeness.other].append(likeness)
    removed: dict[str, Removal] = {}
    for item in sorted(smaller):
        found = [removal for one in smaller[item] if (removal := _removal(one, removed))]
        if found:
            removed[item] = min(
                found, key=lambda r: (REASONS.index(r.reason), -r.similarity, r.matched)
            )
    return list(removed.values())


def _removal(likeness: Likeness, removed: dict[str, Removal]) -> Removal | None:
    """Returns the removal of the pair's second item; None if the first is no reason for it."""
    first = removed.get(likeness.one)
    if first is None:
        return Removal(likeness.other, likeness.reason, likeness.one, likeness.similarity)
    # An item in the same normal form repeats whatever the first one repeats.
    return replace(first, id=likeness.other) if likeness.certain else None


def find_repeats(items: Iterable[Item], differ: Differ | None = None) -> Sequence[Removal]:
    """Finds the repeats of a whole corpus; returns one removal per item, sorted by id.

    differ: tells whether two programs that look alike do different things; None compares texts.
    """
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        for key in block_keys(item):
            groups[key].append(item)
    alike = {
        likeness: (one, other)
        for group in groups.values()
        if len(group) > 1
        for likeness, one, other in find_alike(group)
    }
    return settle(
        likeness
        for likeness, pair in alike.items()
        if likeness.certain or differ is None or not differ(*pair)
    )
