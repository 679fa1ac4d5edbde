"""Claims about a run or about its program, and their proofs from the trace.

A narrator states nothing but claims (`claim`), and each is proven (`proof`, `code_proofs`,
`necessity`) before it is put into words. The proofs read the raw events (`record`) and the source;
they share no code with the narrators.
"""

from data_pipeline.claims.claim import Claim, Place
from data_pipeline.claims.proof import PROVEN, REFUTED, UNDECIDED, Prover

__all__ = ["PROVEN", "REFUTED", "UNDECIDED", "Claim", "Place", "Prover"]
