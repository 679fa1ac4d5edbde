"""Chooses the functions to hold out, so that none shares code with a training function.

Functions that share a whole function or class, however deep, or that look alike, form a cluster; a
cluster is on one side of the split. Whether it is held out depends on the smallest id of its
functions, so the split does not depend on order, and other sources change it only where they join
clusters.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from data_pipeline.source.fingerprints import definition_fingerprints

TRAIN, EVAL = "train", "eval"
_SPACE = 2**32


class Clusters:
    """Joins names to clusters; the leader of a cluster is its smallest name."""

    def __init__(self, leaders: dict[str, str] | None = None):
        """Takes over `leaders`, name -> another name of its cluster, nearer to the leader."""
        self.leaders = {} if leaders is None else leaders

    def find(self, name: str) -> str:
        """Returns the leader of a name's cluster, which is the name itself if it is new."""
        leader = self.leaders.setdefault(name, name)
        while leader != self.leaders[leader]:
            self.leaders[name] = self.leaders[leader]  # halves the way for the next search
            name, leader = leader, self.leaders[leader]
        return leader

    def join(self, one: str, other: str) -> None:
        one, other = sorted((self.find(one), self.find(other)))
        self.leaders[other] = one


@dataclass(frozen=True)
class Draw:
    """Decides which clusters are held out.

    Args:
      most: largest number of seeds of a cluster that may be held out.
      share: share of these clusters to hold out.
    """

    most: float
    share: float

    @classmethod
    def of(cls, sizes: Mapping[int, int], share: float) -> "Draw":
        """Returns the rule that holds out about `share` of all seeds.

        Args:
          sizes: number of seeds in a cluster -> number of such clusters.
        """
        seeds = sum(size * number for size, number in sizes.items())
        most = max(share * seeds, min(sizes, default=0))
        in_small = sum(size * number for size, number in sizes.items() if size <= most)
        if share <= 0 or not in_small or seeds in sizes:
            return cls(0, 0.0)
        return cls(most, share * seeds / in_small)

    def holds_out(self, leader: str, size: int) -> bool:
        return size <= self.most and _draw(leader) < self.share


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
    draw = Draw.of(Counter(map(len, clusters)), share)
    chosen = (cluster for cluster in clusters if draw.holds_out(cluster[0], len(cluster)))
    return frozenset(seed for cluster in chosen for seed in cluster)


def cluster_seeds(
    functions: Mapping[str, Iterable[str]], alike: Iterable[tuple[str, str]] = ()
) -> list[Sequence[str]]:
    """Returns the clusters of seeds, each sorted, in the order of their smallest ids."""
    clusters = Clusters()
    first: dict[str, str] = {}
    for seed, digests in functions.items():
        for digest in digests:
            clusters.join(seed, first.setdefault(digest, seed))
    for one, other in alike:
        if one in functions and other in functions:
            clusters.join(one, other)
    members: dict[str, list[str]] = defaultdict(list)
    for seed in sorted(functions):
        members[clusters.find(seed)].append(seed)
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
