"""One row of the doctor's table, and the table."""

import dataclasses
from collections.abc import Sequence

from data_pipeline.terminal.tables import format_table

OK, LIMITED, BROKEN = "ok", "limited", "BROKEN"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found about one subject.

    state: ok; limited (something optional is missing or weaker); BROKEN (something needed fails)
    advice: what would improve it, "" if nothing
    """

    subject: str
    state: str
    found: str
    advice: str = ""


def findings_table(findings: Sequence[Finding]) -> str:
    """Formats findings for a terminal, each piece of advice on a line below the table."""
    rows = [(each.subject, each.state, each.found) for each in findings]
    advice = [f"{each.subject}: {each.advice}" for each in findings if each.advice]
    table = format_table(("subject", "state", "found"), rows)
    return "\n".join([table, *(["", "To improve:", *advice] if advice else [])])


def is_sound(findings: Sequence[Finding]) -> bool:
    """Whether nothing needed is broken."""
    return all(each.state != BROKEN for each in findings)
