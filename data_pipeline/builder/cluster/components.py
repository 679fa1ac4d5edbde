"""Joins pairs of names to clusters, as a Beam transform.

A combine of spanning forests: each worker joins its pairs to a forest, and forests are merged. The
last one has one entry for each name that occurs in a pair, so it holds ids, never programs.
"""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam

from data_pipeline.builder.held_out import Clusters

Leaders = dict[str, str]


class _Join(beam.CombineFn):
    """Combines (name, name) to {name: leader of its cluster}."""

    def create_accumulator(self) -> Leaders:
        return {}

    def add_input(self, leaders: Leaders, pair: tuple[str, str]) -> Leaders:
        return _join(leaders, [pair])

    def merge_accumulators(self, forests: Iterable[Leaders]) -> Leaders:
        first, *others = sorted(forests, key=len, reverse=True)
        return _join(first, (pair for leaders in others for pair in leaders.items()))

    def extract_output(self, leaders: Leaders) -> Leaders:
        clusters = Clusters(leaders)
        return {name: clusters.find(name) for name in leaders}


def _join(leaders: Leaders, pairs: Iterable[tuple[str, str]]) -> Leaders:
    clusters = Clusters(leaders)
    for pair in pairs:
        clusters.join(*pair)
    return clusters.leaders


class FindClusters(beam.PTransform):
    """Transforms pairs of names to (name, leader) for each name in a pair.

    The leader of a cluster is its smallest name.
    """

    def expand(self, pairs: Any) -> Any:
        return (
            pairs
            | "Join" >> beam.CombineGlobally(_Join()).without_defaults()
            | "Leaders" >> beam.FlatMap(lambda leaders: leaders.items())
        )
