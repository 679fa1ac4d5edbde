"""Runs one of several JAX processes that import and export a model sharded over all of them.

python hf_process.py COORDINATOR NUM_PROCESSES ID SOURCE OUTPUT REPORT.json
"""

import json
import sys

import jax

from semcoder_jax import hf
from semcoder_jax.hf.shards import ShardReader
from semcoder_jax.model.sharding import make_mesh


def main(coordinator, num_processes, process_id, source, output, report):
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(coordinator, int(num_processes), int(process_id))
    read = ShardReader.read
    elements = {}

    def counting_read(self, name, index=None):
        part = read(self, name, index)
        elements[name] = elements.get(name, 0) + part.size
        return part

    ShardReader.read = counting_read
    config, params = hf.load(source, mesh=make_mesh({"fsdp": 2, "tensor": 2}))
    hf.export(output, config, params, hf.read_tokenizer(source), dtype="float32")
    with open(report, "w") as file:
        json.dump(elements, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
