"""A fault of PyX-R: a buggy program, the test that it fails, and what is learnt from it."""

from collections import Counter
from dataclasses import dataclass, field

from data_pipeline.pyx.prompts import refine_field
from data_pipeline.pyx.records import RefineRecord, content_id


@dataclass(frozen=True)
class Fault:
    """One buggy variant of a seed's program.

    seed_id:   of the seed it was made from
    operator:  name of the mutation operator, or "model" for a model's sample
    problem:   what the program should do; nothing of it comes from the right program's body
    buggy:     the buggy program
    refined:   the right program
    call:      of the failed test
    expected:  text of the value that the right program returns for it
    error:     the failed test with the buggy run, as the prompt shows it (`failed_test`)
    diagnosis: the run told up to where it goes wrong, and why; each statement checked
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
        """The instruction field of the record."""
        return refine_field(self.problem, self.buggy, self.error)

    @property
    def response(self) -> str:
        """Diagnosis and repair. Upstream's runner takes the first Python fence of an answer for the
        repair, so there is no other one."""
        return f"{self.diagnosis}\n\n[Refined]\n```python\n{self.refined.strip()}\n```\n[/Refined]"

    def record(self) -> RefineRecord:
        """The row of PyX-R; its id is that of its content, so it is the same in every build."""
        return RefineRecord(content_id(self.fault, self.response), self.fault, self.response)


@dataclass(frozen=True)
class Faults:
    """kept, in order of their finding; refused: variants not kept, by reason."""

    kept: tuple[Fault, ...]
    refused: Counter[str] = field(default_factory=Counter)
