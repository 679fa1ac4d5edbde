"""Defines the place in a run that a claim is about."""

import dataclasses

from data_pipeline.tracing.replay import Occurrence


@dataclasses.dataclass(frozen=True)
class Place:
    """Holds the place in the run at which a claim is checked.

    occurrence: execution of the labelled line, None for the run as a whole
    sure:       whether the label stands beside the claim; if not, only a value that the variable
                never has is contradicted
    window:     first and last event of the loop turn that the claim is about
    frame:      frame of the window
    """

    occurrence: Occurrence | None
    sure: bool
    window: tuple[int, int] | None = None
    frame: int = 0
