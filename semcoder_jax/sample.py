"""Complete the prompts of a file.

    python -m semcoder_jax.sample --checkpoint=DIR --prompts=FILE.jsonl --output=FILE.jsonl

DIR is an HF directory or a training workdir. A row {"id", "prompt"} in, a row
{"id", "text", "finish_reason"} out, in input order. Finished rows are kept in OUTPUT.partial
while the run lasts; the same command goes on from there after an interruption, with the same
result as if there had been none. OUTPUT appears whole at the end.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from semcoder_jax.checkpoints import CheckpointError, Model, load_model
from semcoder_jax.generations import GenerationStore, StoreError, checkpoint_identity
from semcoder_jax.hf import HFError
from semcoder_jax.sampling import SamplingError, SamplingParams, encode_prompt, stream


class PromptFileError(ValueError):
    """A prompt file that cannot be read, or a row in it."""


@dataclasses.dataclass(frozen=True)
class Prompt:
    """One row of a prompt file; ``line`` is where it stands, from 1."""

    id: str
    text: str
    line: int


def read_prompts(path: str | Path) -> list[Prompt]:
    """The rows of a prompt file, blank lines skipped. Raises PromptFileError (file:line, field)."""
    prompts: dict[str, Prompt] = {}
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise PromptFileError(f"{path}: {error.strerror}") from error
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        row = _parse_row(line, where)
        for field in ("id", "prompt"):
            _check_text(row, field, where)
        if row["id"] in prompts:
            first = prompts[row["id"]].line
            raise PromptFileError(f"{where}: field 'id': {row['id']!r} stands in line {first}")
        prompts[row["id"]] = Prompt(row["id"], row["prompt"], number)
    return list(prompts.values())


def sample_file(
    checkpoint: str | Path,
    prompts_path: str | Path,
    output: str | Path,
    params: SamplingParams,
    *,
    batch_size: int = 64,
    progress: str | None = "sampling",
) -> None:
    """What the command does. Raises the errors in ``USER_ERRORS``, before any row is sampled."""
    output = Path(output)
    prompts = read_prompts(prompts_path)
    if output.is_dir() or not output.parent.is_dir():
        kind = "is a directory" if output.is_dir() else f"there is no directory {output.parent}"
        raise PromptFileError(f"--output={output}: {kind}")
    model = load_model(checkpoint)
    tokens = [_fitting_tokens(model, prompt, prompts_path) for prompt in prompts]
    run = {
        "checkpoint": checkpoint_identity(checkpoint),
        "prompts": hashlib.sha256(Path(prompts_path).read_bytes()).hexdigest(),
        "sampling": dataclasses.asdict(params),
    }
    partial = output.with_name(output.name + ".partial")
    with GenerationStore(partial, run) as store:
        left = [i for i, prompt in enumerate(prompts) if prompt.id not in store.rows]
        for i, generation in stream(
            model,
            [tokens[i] for i in left],
            params,
            batch_size=batch_size,
            row_seeds=left,  # a row's place in the file, whatever is left to do
            progress=progress,
        ):
            store.append(
                {
                    "id": prompts[left[i]].id,
                    "text": generation.text,
                    "finish_reason": generation.finish_reason,
                }
            )
        whole = output.with_name(f".{output.name}.{os.getpid()}")
        whole.write_text(
            "".join(
                json.dumps(store.rows[prompt.id], ensure_ascii=False) + "\n" for prompt in prompts
            ),
            encoding="utf-8",
        )
        whole.replace(output)
        partial.unlink()


def _parse_row(line: bytes, where: str) -> dict:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PromptFileError(f"{where}: not JSON ({error})") from error
    if not isinstance(row, dict):
        raise PromptFileError(f"{where}: expected an object with 'id' and 'prompt'")
    if unknown := sorted(set(row) - {"id", "prompt"}):
        raise PromptFileError(f"{where}: unknown field {unknown[0]!r}, expected 'id' and 'prompt'")
    return row


def _check_text(row: dict, field: str, where: str) -> None:
    if field not in row:
        raise PromptFileError(f"{where}: field {field!r}: missing")
    text = row[field]
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


USER_ERRORS = (UsageError, PromptFileError, StoreError, SamplingError, CheckpointError, HFError)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 the user's mistake in one line, 130 interrupted."""
    parser = _Parser(
        prog="python -m semcoder_jax.sample",
        description=__doc__.split("\n")[0],
        allow_abbrev=False,
    )
    parser.add_argument("--checkpoint", required=True, help="HF directory or training workdir")
    parser.add_argument("--prompts", required=True, help='JSON lines {"id", "prompt"}')
    parser.add_argument("--output", required=True, help='JSON lines {"id", "text", …}')
    parser.add_argument("--temperature", type=float, default=0.0, help="0: greedy (default)")
    parser.add_argument("--top_p", type=float, default=1.0)
    parser.add_argument("--max_new_tokens", type=int, default=512)
    parser.add_argument("--stop", action="append", default=[], help="may be given several times")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch_size", type=int, default=64)
    try:
        args = parser.parse_args(argv)
        if args.batch_size < 1:
            raise UsageError(f"--batch_size={args.batch_size}: expected at least 1")
        params = SamplingParams(
            max_new_tokens=args.max_new_tokens,
            temperature=args.temperature,
            top_p=args.top_p,
            stop=tuple(args.stop),
            seed=args.seed,
        )
        sample_file(args.checkpoint, args.prompts, args.output, params, batch_size=args.batch_size)
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on with the rows left", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
