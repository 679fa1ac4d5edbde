"""Extracts self-contained functions from source trees, JSONL files and installed packages.

    for unit in units("more_itertools"):
        for found in read_unit(unit):   # Seed or Refusal
            ...

Units are independent and picklable: a pipeline may read them in any order.
"""

from data_pipeline.seeds.seed import Refusal, Seed, SeedError
from data_pipeline.seeds.sources import Unit, read_unit, units

__all__ = ["Refusal", "Seed", "SeedError", "Unit", "read_unit", "units"]
