"""Defines a fault of PyX-R: a buggy program, the test that it fails, and the diagnosis."""

from collections import Counter
from dataclasses import dataclass, field

from data_pipeline.pyx.prompts import refine_field
from data_pipeline.pyx.records import RefineRecord, content_id


@dataclass(frozen=True)
class Fault:
    """Holds one buggy variant of a seed's program.

    seed_id:   id of the original seed
    operator:  name of the mutation operator, or "model" for a model's sample
    problem:   the task; contains nothing from the right program's body
    buggy:     the buggy program
    refined:   the right program
    call:      call of the failed test
    expected:  text of the value that the right program returns for it
    error:     the failed test with the buggy run, as the prompt shows it (`failed_test`)
    diagnosis: the run up to the point where it goes wrong, and why; each statement checked
    """

    seed_id: str
    operator: str
    problem: str
    buggy: str
    refined: str
    call: str
    expected: str
    error: str
    diagnosis: str

    @property
    def fault(self) -> str:
        """Returns the record's instruction field."""
        return refine_field(self.problem, self.buggy, self.error)

    @property
    def response(self) -> str:
        """Returns diagnosis and repair.

        Contains one code fence only: upstream's runner takes the first Python fence as the repair.
        """
        return f"{self.diagnosis}\n\n[Refined]\n```python\n{self.refined.strip()}\n```\n[/Refined]"

    def record(self) -> RefineRecord:
        """Returns the row of PyX-R; its id is a hash of its content, so builds reproduce it."""
        return RefineRecord(content_id(self.fault, self.response), self.fault, self.response)


@dataclass(frozen=True)
class Faults:
    """Holds the faults found for a seed.

    kept:    in the order found
    refused: variants not kept, counted by reason
    """

    kept: tuple[Fault, ...]
    refused: Counter[str] = field(default_factory=Counter)
