"""Chooses the functions to hold out, so that none shares code with a training function.

Functions that share a whole function or class, however deep, or that look alike, form a cluster; a
cluster is on one side of the split. Whether it is held out depends on the smallest id of its
functions, so the split does not depend on order, and other sources change it only where they join
clusters.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from data_pipeline.source.fingerprints import definition_fingerprints

TRAIN, EVAL = "train", "eval"
_SPACE = 2**32


def held_out_seeds(
    functions: Mapping[str, Iterable[str]], alike: Iterable[tuple[str, str]], share: float
) -> frozenset[str]:
    """Returns the ids of the seeds to hold out, about `share` of all.

    Clusters of more than that many seeds are never held out; the others are drawn more often in
    their place.

    Args:
      functions: seed id -> digests of the functions and classes of its program.
      alike: pairs of seed ids whose programs look alike.
    """
    clusters = cluster_seeds(functions, alike)
    most = max(share * len(functions), min(map(len, clusters), default=0))
    small = [cluster for cluster in clusters if len(cluster) <= most]
    if share <= 0 or not small or len(small[0]) == len(functions):
        return frozenset()
    drawn_share = share * len(functions) / sum(map(len, small))
    chosen = (cluster for cluster in small if _draw(cluster[0]) < drawn_share)
    return frozenset(seed for cluster in chosen for seed in cluster)


def cluster_seeds(
    functions: Mapping[str, Iterable[str]], alike: Iterable[tuple[str, str]] = ()
) -> list[Sequence[str]]:
    """Returns the clusters of seeds, each sorted, in the order of their smallest ids."""
    leader = {seed: seed for seed in functions}

    def find(seed: str) -> str:
        while leader[seed] != seed:
            leader[seed] = leader[leader[seed]]
            seed = leader[seed]
        return seed

    def join(one: str, other: str) -> None:
        one, other = sorted((find(one), find(other)))
        leader[other] = one

    first: dict[str, str] = {}
    for seed, digests in functions.items():
        for digest in digests:
            join(seed, first.setdefault(digest, seed))
    for one, other in alike:
        if one in leader and other in leader:
            join(one, other)
    members: dict[str, list[str]] = defaultdict(list)
    for seed in sorted(functions):
        members[find(seed)].append(seed)
    return [members[name] for name in sorted(members)]


def function_digests(code: str) -> set[str]:
    """Returns short digests of a program's functions and classes; none if it cannot be read."""
    try:
        return {digest[:16] for digest in definition_fingerprints(code)}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()


def _draw(seed_id: str) -> float:
    """Returns a number from 0 to 1 that the id decides."""
    return int(hashlib.sha256(f"held out {seed_id}".encode()).hexdigest()[:8], 16) / _SPACE
