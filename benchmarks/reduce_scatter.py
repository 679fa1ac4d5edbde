"""Shows how the TPU compiler runs a reduce-scatter; needs the compiler, but no TPU.

    python benchmarks/reduce_scatter.py [--topology=v5e:4x4,v5e:4x8 …] [--option=NAME=VALUE …]

The smallest program: a sum of bfloat16[4096, 11008] over all devices of a slice, of which each
keeps its part, by jax.lax.psum_scatter and by semcoder_jax.model.ring where that knows a ring.
Prints the bytes that each device sends, as a share of the array, in the compiled program; a
reduce-scatter needs (n-1)/n, an all-reduce sends twice that. `--option` sets compiler options.
Needs libtpu (pip install "jax[tpu]"); a compilation takes seconds.
"""

import argparse
import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from semcoder_jax.model.ring import ring_order, ring_reduce_scatter
from semcoder_jax.planner import topologies
from semcoder_jax.planner.collectives import sent_bytes_by_kind

ROWS, COLUMNS = 4_096, 11_008
TOPOLOGIES = "v5e:2x2,v5e:2x4,v5e:4x4,v5e:4x8,v5e:8x8,v6e:4x4,v4:2x2x2,v4:2x2x4,v5p:2x2x1,v5p:2x2x2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topology", default=TOPOLOGIES)
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    options = dict(option.split("=", 1) for option in arguments.option)
    print(f"{'slice':10} {'(n-1)/n':>7}  psum_scatter{'':24} ring")
    for name in arguments.topology.split(","):
        place = topologies.parse(name)
        least = (place.num_devices - 1) / place.num_devices
        by_compiler = sent_shares(place, options, ring=False)
        by_ring = sent_shares(place, options, ring=True)
        print(f"{name:10} {least:7.3f}  {by_compiler:36} {by_ring}")


def sent_shares(place: topologies.Topology, options: dict[str, str], ring: bool) -> str:
    """Returns what each device sends by kind, as shares of the array; "-" without a ring."""
    mesh = jax.make_mesh((place.num_devices,), ("fsdp",), devices=topologies.describe(place))
    order = ring_order(mesh, "fsdp") if ring else None
    if ring and order is None:
        return "-"

    def scatter(x):
        if ring:
            return ring_reduce_scatter(x, "fsdp", 0, order)
        return jax.lax.psum_scatter(x, "fsdp", scatter_dimension=0, tiled=True)

    rows = NamedSharding(mesh, P("fsdp"))
    x = jax.ShapeDtypeStruct((ROWS * place.num_devices, COLUMNS), jnp.bfloat16, sharding=rows)
    mapped = jax.shard_map(
        scatter, mesh=mesh, in_specs=P("fsdp"), out_specs=P("fsdp"), check_vma=False
    )
    compiled = jax.jit(mapped).lower(x).compile(compiler_options=options)
    sent = sent_bytes_by_kind(compiled.as_text())
    array = ROWS * COLUMNS * 2
    return ", ".join(f"{kind} {size / array:.3f}" for kind, size in sent.items()) or "nothing"


if __name__ == "__main__":
    main()
