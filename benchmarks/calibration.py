"""Compares the planner's roofline with published training runs; needs the compiler, but no TPU.

    python benchmarks/calibration.py [--json]

For each run of semcoder_jax.planner.calibration, prints the speed that was published, the speed
that the roofline allows the same architecture, slice, batch and sequence length, and their ratio.
Compiles nothing: the bounds of the step suffice. Needs libtpu (pip install "jax[tpu]").
"""

import argparse
import json

from semcoder_jax.planner import topologies
from semcoder_jax.planner.calibration import PUBLISHED, PublishedRun
from semcoder_jax.planner.compiler import Compiler
from semcoder_jax.planner.report import roofline_at_best
from semcoder_jax.planner.settings import Setting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object a run")
    arguments = parser.parse_args()
    with Compiler() as compiler:
        rows = [measure(run, compiler) for run in PUBLISHED]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'run':26} {'published':>10} {'roofline':>10} {'share':>6}  limit")
    for row in rows:
        print(
            f"{row['name']:26} {row['published']:>10,.0f} {row['roofline']:>10,.0f} "
            f"{row['share']:>6.3f}  {row['limit']}"
        )
    print("published, roofline: tokens/s a chip; share: published / roofline")


def measure(published: PublishedRun, compiler: Compiler) -> dict:
    """Returns a run's published speed and the roofline's, in tokens/s a chip, and their ratio."""
    place = topologies.parse(published.topology)
    run = published.config(place.num_chips)
    setting = Setting.of(run, place.num_devices)
    [bounds] = compiler.bounds(setting.apply_to(run), place, [setting])
    found = roofline_at_best(setting.apply_to(run), place, bounds)
    allowed = published.rows * published.sequence_length / found.step_seconds
    return {
        "name": published.name,
        "published": published.tokens_per_second,
        "roofline": allowed,
        "share": published.tokens_per_second / allowed,
        "limit": found.limit,
    }


if __name__ == "__main__":
    main()
