"""Makes PyX-R: buggy variants of a seed, the test each fails, a traced diagnosis and the repair.

found = faults(seed, explored.cases, sandbox, random_seed=0, limit=4)
records = [fault.record() for fault in found.kept]

`expressions` and `statements` hold the mutation operators, which `operators` applies in turn;
`samples` asks a model instead. `search` runs the variants on the visible tests. `alignment`
compares the failed run with the right one up to their divergence; `telling`, `diagnosis` and
`repair` claim what a diagnosis says; `proof` and `program_proofs` prove it, and `forms` holds the
words for it.
"""

from data_pipeline.faults.fault import Fault, Faults
from data_pipeline.faults.feedback import failed_test
from data_pipeline.faults.samples import sample_faults
from data_pipeline.faults.search import faults, faults_of

__all__ = ["Fault", "Faults", "failed_test", "faults", "faults_of", "sample_faults"]
