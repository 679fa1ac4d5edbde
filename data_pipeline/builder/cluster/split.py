"""Chooses the functions to hold out, as `held_out` does, from clusters of ids."""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsSingleton

from data_pipeline.builder.cluster.components import FindClusters
from data_pipeline.builder.held_out import Draw, function_digests


class HoldOut(beam.PTransform):
    """Transforms (seeds, pairs of ids that look alike) to (seed, whether it is held out)."""

    def __init__(self, share: float):
        self._share = share

    def expand(self, given: Any) -> Any:
        seeds, alike = given
        by_id = seeds | "KeyById" >> beam.Map(lambda seed: (seed.id, seed))
        ids = by_id | "Ids" >> beam.Keys()
        leaders = (
            (_sharing(seeds), _keep_known(alike, ids))
            | "AllPairs" >> beam.Flatten()
            | "Clusters" >> FindClusters()
        )
        clustered = (
            {"id": ids | "EachId" >> beam.Map(lambda name: (name, None)), "leader": leaders}
            | "WithLeader" >> beam.CoGroupByKey()
            | "Clustered" >> beam.Map(_leader_and_id)
        )
        sizes = (
            clustered | "EachLeader" >> beam.Keys() | "Sizes" >> beam.combiners.Count.PerElement()
        )
        draw = (
            sizes
            | "EachSize" >> beam.Values()
            | "Histogram" >> beam.combiners.Count.PerElement()
            | "AllSizes" >> beam.combiners.ToDict()
            | "Draw" >> beam.Map(Draw.of, self._share)
        )
        chosen = (
            sizes
            | "Drawn" >> beam.Filter(lambda size, draw: draw.holds_out(*size), AsSingleton(draw))
            | "DrawnLeaders" >> beam.Keys()
        )
        held_out = keep_pairs(clustered, chosen, "HeldOut") | "HeldOutIds" >> beam.Map(
            lambda pair: (pair[1], True)
        )
        return (
            {"seed": by_id, "held_out": held_out}
            | "WithSplit" >> beam.CoGroupByKey()
            | "Split" >> beam.FlatMap(_seed_and_split)
        )


def _sharing(seeds: Any) -> Any:
    """Returns pairs of ids of functions that share a function or class."""
    return (
        seeds
        | "Functions" >> beam.FlatMap(lambda s: [(d, s.id) for d in function_digests(s.code)])
        | "GroupFunctions" >> beam.GroupByKey()
        | "Sharing" >> beam.FlatMap(_pairs_with_first)
    )


def _pairs_with_first(keyed: tuple[str, Iterable[str]]) -> Iterator[tuple[str, str]]:
    ids = iter(keyed[1])
    first = next(ids)
    for other in ids:
        yield first, other


def _keep_known(pairs: Any, ids: Any) -> Any:
    """Returns the pairs of which both names are among the ids."""
    by_other = keep_pairs(pairs, ids, "KnownOne") | "Turn" >> beam.Map(lambda pair: pair[::-1])
    return keep_pairs(by_other, ids, "KnownOther")


def _leader_and_id(keyed: tuple[str, dict[str, Iterable[Any]]]) -> tuple[str, str]:
    name, found = keyed
    return next(iter(found["leader"]), name), name


def _seed_and_split(keyed: tuple[str, dict[str, Iterable[Any]]]) -> Iterator[tuple[Any, bool]]:
    held_out = any(keyed[1]["held_out"])
    for seed in keyed[1]["seed"]:
        yield seed, held_out


def keep_pairs(pairs: Any, keys: Any, label: str) -> Any:
    """Returns the pairs whose first part is among the keys."""
    return (
        {
            "pairs": pairs,
            "known": keys | f"{label}Keys" >> beam.Map(lambda key: (key, None)),
        }
        | f"{label}Join" >> beam.CoGroupByKey()
        | f"{label}Known" >> beam.FlatMap(_known)
    )


def _known(keyed: tuple[str, dict[str, Iterable[Any]]]) -> Iterator[tuple[str, Any]]:
    key, found = keyed
    if any(True for _ in found["known"]):
        for value in found["pairs"]:
            yield key, value
