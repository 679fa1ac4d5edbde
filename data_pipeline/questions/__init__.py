"""Asks about a run, beside its output: coverage, state, path (REval), and the whole trace (CWM)."""

from data_pipeline.questions.reval import (
    TASKS,
    RunQuestion,
    incremental_consistency,
    is_right,
    run_questions,
)
from data_pipeline.questions.rows import question_rows

__all__ = [
    "TASKS",
    "RunQuestion",
    "incremental_consistency",
    "is_right",
    "question_rows",
    "run_questions",
]
