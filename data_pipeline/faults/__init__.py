"""PyX-R: buggy variants of a seed, the visible test they fail, a traced diagnosis, the repair.

found = faults(seed, explored.cases, sandbox, random_seed=0, limit=4)
records = [fault.record() for fault in found.kept]
"""

from data_pipeline.faults.fault import Fault, Faults
from data_pipeline.faults.feedback import failed_test
from data_pipeline.faults.samples import sampled_faults
from data_pipeline.faults.search import faults, faults_of

__all__ = ["Fault", "Faults", "failed_test", "faults", "faults_of", "sampled_faults"]
