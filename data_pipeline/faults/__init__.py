"""PyX-R: buggy variants of a seed, the visible test they fail, a traced diagnosis, the repair.

found = faults(seed, explored.cases, sandbox, random_seed=0, limit=4)
records = [fault.record() for fault in found.kept]

`expressions` and `statements` hold the mutation operators and `operators` lets them take turns;
`samples` asks a model instead. `search` runs the variants on the visible tests. `alignment` holds
the failed run against the right one up to where they part, `telling` and `diagnosis` put that into
words, and `check` reads the words back against both runs before a fault is kept.
"""

from data_pipeline.faults.fault import Fault, Faults
from data_pipeline.faults.feedback import failed_test
from data_pipeline.faults.samples import sample_faults
from data_pipeline.faults.search import faults, faults_of

__all__ = ["Fault", "Faults", "failed_test", "faults", "faults_of", "sample_faults"]
