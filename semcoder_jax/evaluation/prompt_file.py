"""Completes the prompts of a JSON Lines file and stores each completion as it ends.

An input row is {"id", "prompt"} and any of ROW_FIELDS, an output row {"id", "text",
"finish_reason"}. A completion depends only on the prompt, parameters, seed and position in the
file.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import (
    as_path,
    check_continuable,
    check_id,
    check_output,
    check_separate,
    has_fields,
    parse_row,
    read_numbered_lines,
    write_rows,
)
from semcoder_jax.checkpoints import CheckpointError
from semcoder_jax.errors import UserError
from semcoder_jax.evaluation.store import GenerationStore, checkpoint_identity
from semcoder_jax.inference.generate import (
    SamplingError,
    SamplingParams,
    encode_prompt,
    stream_requests,
)
from semcoder_jax.inference.request import Request, Update
from semcoder_jax.loading import LoadedModel, load_model

# Optional fields of a row, with their types.
ROW_FIELDS = {
    "temperature": (int, float),
    "top_p": (int, float),
    "top_k": (int,),
    "seed": (int,),
    "stop": (list,),
    "max_new_tokens": (int,),
    "n": (int,),
    "logprobs": (int,),
}


class PromptFileError(UserError):
    """Raised if a prompt file, or a row in it, cannot be read."""


@dataclasses.dataclass(frozen=True)
class Prompt:
    """Holds one row of a prompt file.

    `line` is its line number, from 1; `changes` has its fields of ROW_FIELDS, type-checked.
    """

    id: str | int
    text: str
    line: int
    changes: Mapping = dataclasses.field(default_factory=dict)


def read_prompts(path: str | Path) -> list[Prompt]:
    """Reads a prompt file, skipping blank lines. Raises PromptFileError (file:line, field).

    A file without any prompt is an error, too.
    """
    prompts: dict[str | int, Prompt] = {}
    for number, line in read_numbered_lines(path, raises=PromptFileError):
        where = f"{path}:{number}"
        row = parse_row(line, where, raises=PromptFileError)
        _check_fields(row, where)
        name = check_id(row, where, raises=PromptFileError)
        for field in ("id", "prompt") if isinstance(name, str) else ("prompt",):
            _check_text(row, field, where)
        if name in prompts:
            first = prompts[name].line
            raise PromptFileError(f"{where}: field 'id': {name!r} stands in line {first}")
        changes = {field: row[field] for field in ROW_FIELDS if field in row}
        prompts[name] = Prompt(name, row["prompt"], number, changes)
    if not prompts:
        raise PromptFileError(f'{path}: no prompts; expected a row {{"id", "prompt"}} in a line')
    return list(prompts.values())


def sample_file(
    checkpoint: str | Path,
    prompts_path: str | Path,
    output: str | Path,
    params: SamplingParams,
    *,
    n: int = 1,
    num_slots: int | None = None,
    speculation: str = "auto",
    progress: str | None = "sampling",
) -> int:
    """Writes the completions of all prompts to `output`, atomically at the end.

    Returns the number of rows written.

    Stores finished rows in OUTPUT.partial, from which the same call resumes. `n` is the number
    of samples per prompt, `num_slots` the number of rows decoded together (None: the default of
    the device). Raises a UserError before sampling.
    """
    output = as_path(output)
    check_separate({"--prompts": prompts_path, "--output": output})
    check_continuable("--output", output)
    check_output("--output", output, has_fields("id", "text", "finish_reason"))
    prompts = read_prompts(prompts_path)
    model = load_model(checkpoint)
    if model.tokenizer is None:
        raise CheckpointError(f"{checkpoint}: has no tokenizer, expected tokenizer.json")
    requests = _requests(model, prompts, prompts_path, params, n)
    run = {
        "checkpoint": checkpoint_identity(checkpoint),
        "prompts": hashlib.sha256(as_path(prompts_path).read_bytes()).hexdigest(),
        "sampling": dataclasses.asdict(params) | {"n": n},
    }
    partial = output.with_name(output.name + ".partial")
    with GenerationStore(partial, run, fields={"row": dict}) as store:
        left = [part for request in requests for part in _remaining_requests(request, store.rows)]
        for update in stream_requests(
            model, left, batch_size=num_slots, speculation=speculation, progress=progress
        ):
            place, first = update.id
            sample = first + update.sample
            row = _row(prompts[place].id, sample, requests[place].n, update)
            store.append({"id": _key(place, sample), "row": row})
        rows = (
            store.rows[_key(place, sample)]["row"]
            for place, request in enumerate(requests)
            for sample in range(request.n)
        )
        write_rows(output, rows, ensure_ascii=False)
    partial.unlink()
    return sum(request.n for request in requests)


def _requests(
    model: LoadedModel, prompts: Sequence[Prompt], path: str | Path, params: SamplingParams, n: int
) -> list[Request]:
    """Returns one request per prompt; each sample has its own random stream, by its position."""
    requests, samples = [], 0
    for place, prompt in enumerate(prompts):
        changes = dict(prompt.changes)
        count = changes.pop("n", n)
        if "stop" in changes:
            changes["stop"] = tuple(changes["stop"])
        try:
            request = Request(
                _fitting_tokens(model, prompt, path),
                dataclasses.replace(params, **changes),
                n=count,
                id=(place, 0),
                first_sample=samples,
            )
        except SamplingError as error:
            raise PromptFileError(f"{path}:{prompt.line}: {error}") from error
        requests.append(request)
        samples += count
    return requests


def _remaining_requests(request: Request, done: Mapping[str, dict]) -> list[Request]:
    """Returns the unchanged request, or one per sample that an earlier session did not finish.

    `id` is (index of the prompt, first sample).
    """
    place, _ = request.id
    left = [i for i in range(request.n) if _key(place, i) not in done]
    if len(left) == request.n:
        return [request]
    return [
        dataclasses.replace(request, n=1, id=(place, i), first_sample=request.first_sample + i)
        for i in left
    ]


def _key(place: int, sample: int) -> str:
    return f"{place}/{sample}"


def _row(prompt_id: str | int, sample: int, n: int, update: Update) -> dict:
    generation = update.generation
    row = {"id": prompt_id, "text": generation.text, "finish_reason": generation.finish_reason}
    if n > 1:
        row["sample"] = sample
    if generation.logprobs is not None:
        row["logprobs"] = [
            {"token": token, "logprob": told.chosen, "top": [list(pair) for pair in told.top]}
            for token, told in zip(generation.text_tokens, generation.logprobs, strict=True)
        ]
    return row


def _check_fields(row: Mapping[str, Any], where: str) -> None:
    if unknown := sorted(set(row) - {"id", "prompt", *ROW_FIELDS}):
        expected = ", ".join(["id", "prompt", *ROW_FIELDS])
        raise PromptFileError(f"{where}: unknown field {unknown[0]!r}, expected {expected}")
    for field, types in ROW_FIELDS.items():
        if field in row and type(row[field]) not in types:
            kind = {float: "a number", int: "an integer", list: "a list"}[types[-1]]
            raise PromptFileError(f"{where}: field {field!r}: expected {kind}")
    for stop in row.get("stop", ()):
        _check_string(stop, "stop", where)


def _check_text(row: dict, field: str, where: str) -> None:
    if field not in row:
        raise PromptFileError(f"{where}: field {field!r}: missing")
    _check_string(row[field], field, where)


def _check_string(text, field: str, where: str) -> None:
    if not isinstance(text, str) or not text:
        raise PromptFileError(f"{where}: field {field!r}: expected a non-empty string")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PromptFileError(f"{where}: field {field!r}: a lone surrogate") from error


def _fitting_tokens(model: LoadedModel, prompt: Prompt, path: str | Path) -> list[int]:
    tokens = encode_prompt(model.tokenizer, prompt.text)
    if len(tokens) >= model.config.max_positions:
        raise PromptFileError(
            f"{path}:{prompt.line}: field 'prompt': {len(tokens)} tokens, "
            f"the model's context holds {model.config.max_positions}"
        )
    return tokens
