"""Defines a model's response to one task."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Response:
    """A model's response to one task, to be judged in `mode`; `text` is None if it is missing.

    Two fields are for responses from other programs' files: `whole` is prompt and response as
    one text, if the file has both; `is_answer` says that `text` is only the extracted answer.
    """

    task: str
    sample: int
    variant: str
    mode: str
    text: str | None
    finish_reason: str = ""
    whole: str | None = None
    is_answer: bool = False
