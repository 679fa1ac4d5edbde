"""Generates inputs for a seed from its examples, types and mutations, guided by coverage.

with Sandbox(limits=EXPLORATION_LIMITS) as sandbox:
    explored = cases(seed, sandbox, limit=8, random_seed=0)
"""

from data_pipeline.testcases.case import Case, Coverage, Exploration
from data_pipeline.testcases.exploration import EXPLORATION_LIMITS, cases

__all__ = ["EXPLORATION_LIMITS", "Case", "Coverage", "Exploration", "cases"]
