"""Proves what every input with the run's output must satisfy."""

from data_pipeline.claims.claim import Claim
from data_pipeline.claims.record import Record


class Necessity:
    def __init__(self, record: Record):
        self.record = record

    def prove(self, claim: Claim) -> bool | None:
        return None
