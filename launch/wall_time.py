"""Accounts for the wall time of a run over all attempts to finish it.

WORKDIR/goodput.jsonl covers a session from its start to its last line. An attempt also starts
processes before that, and dies or ends after that line.
"""

from collections.abc import Mapping, Sequence

from launch.process_group import Attempt
from semcoder_jax.training.goodput import REPEATED, RESTORE, START, STEPS, Goodput, summarize

LAUNCH = "launch"  # starting processes, importing, finding each other
DEAD = "dead"  # after the last line of a session until the next attempt begins
_MEANINGS = {
    LAUNCH: "processes start and find each other",
    START: "data is opened, the state made",
    RESTORE: "the last checkpoint is read",
    REPEATED: "made again after a checkpoint",
    DEAD: "from the last log line to the next attempt or the end",
}


def account(attempts: Sequence[Attempt], rows: Sequence[Mapping]) -> Goodput:
    """Returns the seconds by phase, whose sum is the time from the first beginning to the last end.

    `rows` are those of goodput.jsonl; older sessions are left out.
    """
    sessions = [one for one in _sessions(rows) if one[0]["time"] >= attempts[0].began]
    goodput = summarize([row for session in sessions for row in session])
    launch = sum(_launch_seconds(attempts, session) for session in sessions)
    whole = attempts[-1].ended - attempts[0].began
    dead = whole - launch - goodput.total
    return Goodput(
        {**goodput.seconds, LAUNCH: launch, DEAD: dead}, len(attempts), goodput.repeated_steps
    )


def table_lines(goodput: Goodput) -> list[str]:
    """Formats the seconds by phase as a table, the longest first."""
    total, steps = goodput.total, goodput.seconds.get(STEPS, 0.0)
    lines = [
        f"goodput {goodput.share:.1%}: {steps:.1f} of {total:.1f} s in steps that count, in "
        f"{goodput.sessions} attempt(s)"
    ]
    lost = sorted(goodput.seconds.items(), key=lambda item: -item[1])
    for name, seconds in lost:
        if name == STEPS or seconds < 0.0005 * total:
            continue
        meaning = _MEANINGS.get(name, "")
        if name == REPEATED:
            meaning = f"{goodput.repeated_steps} steps, {meaning}"
        lines.append(f"  {name:<10} {seconds:8.1f} s {seconds / total:7.1%}  {meaning}".rstrip())
    return lines


def _sessions(rows: Sequence[Mapping]) -> list[list[Mapping]]:
    """Returns the rows of each session, its first row first."""
    sessions: list[list[Mapping]] = []
    for row in rows:
        if "session" in row:
            sessions.append([])
        if sessions:
            sessions[-1].append(row)
    return sessions


def _launch_seconds(attempts: Sequence[Attempt], session: Sequence[Mapping]) -> float:
    """Returns the time from the attempt's beginning to the session's, 0 if it has no interval."""
    if len(session) < 2:
        return 0.0
    written = session[0]["time"]
    (attempt,) = (one for one in attempts if one.began <= written <= one.ended)
    seconds = session[1]["seconds"]
    return written - attempt.began - seconds.get(START, 0.0) - seconds.get(RESTORE, 0.0)
