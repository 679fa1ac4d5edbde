"""Reads solutions in EvalPlus's format: JSONL of {"task_id", "solution" or "completion"}.

Repeated tasks are samples, in order. "solution" is a whole program, "completion" the text after
the task's prompt.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from data_pipeline.files import RowError, parse_row, read_numbered_lines
from semcoder_jax.evaluation.benchmarks.data import DataError
from semcoder_jax.evaluation.harness import Response, list_ids


def read_samples(
    path: str | Path, prompts: Mapping[str, str], *, variant: str, modes: Sequence[str]
) -> tuple[list[Response], list[str]]:
    """Returns (responses, notes); every task and mode has as many responses as the largest task.

    `prompts` maps each task to its prompt. A malformed line that names its task is a wrong
    sample; the notes count all malformed lines. Raises DataError if the file cannot be read or
    no line has the format.
    """
    programs: dict[str, list[str | None]] = {task: [] for task in prompts}
    malformed, unknown = 0, 0
    for number, line in read_numbered_lines(path, raises=DataError):
        try:
            row = parse_row(line, f"{path}:{number}")
            task = row.get("task_id")
        except RowError:
            task = None
        if not isinstance(task, str):
            malformed += 1
        elif task not in programs:
            unknown += 1
        else:
            program = _program(row, prompts[task])
            malformed += program is None
            programs[task].append(program)
    if not any(program is not None for found in programs.values() for program in found):
        raise DataError(
            f"{path}: no solution of any of these {len(prompts):,} tasks; expected lines "
            '{"task_id": "…", "solution": "…"} or "completion" in its place, with the ids '
            f"{list_ids(prompts)}"
        )
    most = max(map(len, programs.values()))
    responses = [
        Response(
            task,
            sample,
            variant,
            mode,
            found[sample] if sample < len(found) else None,
            is_answer=True,
        )
        for mode in modes
        for task, found in programs.items()
        for sample in range(most)
    ]
    notes = []
    if malformed:
        notes.append(f"{malformed:,} lines of the file are malformed: wrong answers of their tasks")
    if unknown:
        notes.append(
            f"{unknown:,} lines of the file are not of the {len(programs):,} tasks scored: not used"
        )
    if missing := sum(not found for found in programs.values()):
        notes.append(
            f"{missing:,} of {len(programs):,} tasks have no solution in the file: wrong answers"
        )
    if uneven := sum(0 < len(found) < most for found in programs.values()):
        notes.append(f"{uneven:,} tasks have fewer than {most} samples: wrong answers")
    if repeated := sum(
        len(set(found)) < len(found) for found in programs.values() if len(found) > 1
    ):
        notes.append(f"{repeated:,} tasks have the same solution more than once: each counts")
    return responses, notes


def _program(row: Mapping[str, object], prompt: str) -> str | None:
    if isinstance(solution := row.get("solution"), str):
        return solution
    if "solution" not in row and isinstance(completion := row.get("completion"), str):
        return prompt + completion
    return None
