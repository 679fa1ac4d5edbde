"""Complete the prompts of a file.

    python -m semcoder_jax.sample --checkpoint=DIR --prompts=FILE.jsonl --output=FILE.jsonl

DIR is an HF directory or a training workdir. A row {"id", "prompt"} in, a row
{"id", "text", "finish_reason"} out, in input order; finish_reason is "stop" (EOS or a stop
string) or "length". A row in may set what the flags set for all: "temperature", "top_p", "top_k",
"seed", "stop" (a list), "max_new_tokens", "n", "logprobs".

With n above 1 a prompt has n rows out, told apart by "sample" (0 … n - 1). With logprobs=K a row
out has "logprobs": for each token its "token" (id) and "logprob", and in "top" the K most
probable [id, logprob], all of the model itself, before temperature and cuts.

What a row gets depends on its prompt, parameters, seed and place in the file alone, never on
--slots, --speculation or its neighbours. Finished rows are kept in OUTPUT.partial while the run
lasts; the same command goes on from there after an interruption, with the same result as if
there had been none. OUTPUT appears whole at the end.
"""

import argparse
import dataclasses
import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import check_separate, numbered_lines, parse_row, write_rows
from semcoder_jax.checkpoints import CheckpointError
from semcoder_jax.errors import UserError
from semcoder_jax.evaluation.store import GenerationStore, StoreError, checkpoint_identity
from semcoder_jax.hf import HFError
from semcoder_jax.inference.engine import SPECULATION
from semcoder_jax.inference.generate import (
    SamplingError,
    SamplingParams,
    encode_prompt,
    stream_requests,
)
from semcoder_jax.inference.request import Request, Update
from semcoder_jax.loading import Model, load_model

# Fields of a row beside its id and prompt, and what they must be.
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
    """A prompt file that cannot be read, or a row in it."""


@dataclasses.dataclass(frozen=True)
class Prompt:
    """One row of a prompt file; ``line`` is where it stands, from 1. ``changes``: its fields of
    ROW_FIELDS, of the right types."""

    id: str
    text: str
    line: int
    changes: Mapping = dataclasses.field(default_factory=dict)


def read_prompts(path: str | Path) -> list[Prompt]:
    """The rows of a prompt file, blank lines skipped. Raises PromptFileError (file:line, field)."""
    prompts: dict[str, Prompt] = {}
    for number, line in numbered_lines(path, raises=PromptFileError):
        where = f"{path}:{number}"
        row = parse_row(line, where, raises=PromptFileError)
        _check_fields(row, where)
        for field in ("id", "prompt"):
            _check_text(row, field, where)
        if row["id"] in prompts:
            first = prompts[row["id"]].line
            raise PromptFileError(f"{where}: field 'id': {row['id']!r} stands in line {first}")
        changes = {field: row[field] for field in ROW_FIELDS if field in row}
        prompts[row["id"]] = Prompt(row["id"], row["prompt"], number, changes)
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
) -> None:
    """What the command does. Raises the errors in ``USER_ERRORS``, before any row is sampled."""
    output = Path(output)
    check_separate({"--prompts": prompts_path, "--output": output})
    prompts = read_prompts(prompts_path)
    if output.is_dir() or not output.parent.is_dir():
        kind = "is a directory" if output.is_dir() else f"there is no directory {output.parent}"
        raise PromptFileError(f"--output={output}: {kind}")
    model = load_model(checkpoint)
    if model.tokenizer is None:
        raise CheckpointError(f"{checkpoint}: has no tokenizer, expected tokenizer.json")
    requests = _requests(model, prompts, prompts_path, params, n)
    run = {
        "checkpoint": checkpoint_identity(checkpoint),
        "prompts": hashlib.sha256(Path(prompts_path).read_bytes()).hexdigest(),
        "sampling": dataclasses.asdict(params) | {"n": n},
    }
    partial = output.with_name(output.name + ".partial")
    with GenerationStore(partial, run) as store:
        left = [part for request in requests for part in _left_of(request, store.rows)]
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


def _requests(
    model: Model, prompts: Sequence[Prompt], path: str | Path, params: SamplingParams, n: int
) -> list[Request]:
    """One a prompt; its samples draw from streams of their own, by their places in the file."""
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


def _left_of(request: Request, done: Mapping[str, dict]) -> list[Request]:
    """The request as it is, or one for each sample that an earlier session left undone; ``id`` is
    (place of the prompt, first sample)."""
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


def _row(prompt_id: str, sample: int, n: int, update: Update) -> dict:
    generation = update.generation
    row = {"id": prompt_id, "text": generation.text, "finish_reason": generation.finish_reason}
    if n > 1:
        row["sample"] = sample
    if generation.logprobs is not None:
        row["logprobs"] = [
            {"token": token, "logprob": told.chosen, "top": [list(pair) for pair in told.top]}
            for token, told in zip(generation.tokens, generation.logprobs, strict=True)
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


def _fitting_tokens(model: Model, prompt: Prompt, path: str | Path) -> list[int]:
    tokens = encode_prompt(model.tokenizer, prompt.text)
    if len(tokens) >= model.config.max_positions:
        raise PromptFileError(
            f"{path}:{prompt.line}: field 'prompt': {len(tokens)} tokens, "
            f"the model's context holds {model.config.max_positions}"
        )
    return tokens


class UsageError(ValueError):
    """A flag that is unknown, missing or malformed."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise UsageError(message)


USER_ERRORS = (
    UserError,
    UsageError,
    PromptFileError,
    StoreError,
    SamplingError,
    CheckpointError,
    HFError,
)


def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m semcoder_jax.sample",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--checkpoint", required=True, help="HF directory or training workdir")
    add("--prompts", required=True, help='JSON lines {"id", "prompt", …}')
    add("--output", required=True, help='JSON lines {"id", "text", …}')
    add("--temperature", type=float, default=0.0, help="0: greedy (default)")
    add("--top_p", type=float, default=1.0, help="smallest set of that mass; 1: all (default)")
    add("--top_k", type=int, default=0, help="most probable tokens only; 0: all (default)")
    add("--max_new_tokens", type=int, default=512, help="default 512")
    add("--stop", action="append", default=[], help="may be given several times")
    add("--seed", type=int, default=0, help="of every random choice; default 0")
    add("--n", type=int, default=1, help="samples of each prompt; default 1")
    add("--logprobs", type=int, metavar="K", help="log-probabilities, with K alternatives a token")
    add(
        "--slots",
        "--batch_size",
        type=int,
        help="most rows decoded together; default: 16 on CPU, 64 elsewhere",
    )
    add(
        "--speculation",
        default="auto",
        choices=SPECULATION,
        help="drafts from earlier text: where they pay (default), always, off; same tokens",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 the user's mistake in one line, 130 interrupted."""
    try:
        args = _parser().parse_args(argv)
        for name in ("slots", "n"):
            value = getattr(args, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name}={value}: expected at least 1")
        params = SamplingParams(
            max_new_tokens=args.max_new_tokens,
            temperature=args.temperature,
            top_p=args.top_p,
            stop=tuple(args.stop),
            seed=args.seed,
            top_k=args.top_k,
            logprobs=args.logprobs,
        )
        sample_file(
            args.checkpoint,
            args.prompts,
            args.output,
            params,
            n=args.n,
            num_slots=args.slots,
            speculation=args.speculation,
        )
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on with the rows left", file=sys.stderr)
        return 130
    return 0
