"""Makes new records of a model's own answers that real runs confirm (rejection sampling).

    python -m semcoder_jax.improve --checkpoint=DIR --source=PYX --output=DIR [--samples=4]

PYX is a JSONL file of PyX records or a built dataset. Each of its prompts for a monologue or a
tested program is answered --samples times. An answer is kept if its value, call or program is
right, its form is the one that was asked, and no step of it is contradicted by the run. OUTPUT gets
asked.jsonl (what was asked, and what was kept) and train.jsonl: the records of the source and the
new ones, of the same kinds, with ids that begin with their origin's. Train on it with
--config.data.source=jsonl --config.data.train=OUTPUT/train.jsonl.

If interrupted, the same command goes on and gives the same result.
"""

from collections.abc import Sequence
from typing import Any

from data_pipeline.files import path_text
from data_pipeline.terminal.command_line import CommandLineError, CommandParser, run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 2 user error, 130 interrupted."""
    stopped = "interrupted; the same command goes on with the prompts left"
    return run_command(_run, argv, stopped=stopped)


def _run(arguments: Sequence[str]) -> None:
    args = vars(_parser().parse_args(arguments))
    for name in ("samples", "max_new_tokens", "max_records"):
        if args[name] is not None and args[name] < 1:
            raise CommandLineError(f"--{name}={args[name]}: expected at least 1")
    if not 0 < args["temperature"] < float("inf"):
        raise CommandLineError(
            f"--temperature={args['temperature']:g}: expected more than 0, for different answers"
        )
    from semcoder_jax.reinforcement.improvement import (  # JAX starts here, after the flags
        TRAIN,
        ImproveOptions,
        improve,
    )

    output = args.pop("output")
    found = improve(ImproveOptions(**args), output)
    print(f"{found}\n{output}/{TRAIN}")


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m semcoder_jax.improve", description=__doc__)
    add = parser.add_argument
    path: dict[str, Any] = {"required": True, "type": path_text}
    add("--checkpoint", **path, help="HF directory or training workdir")
    add("--source", **path, help="JSONL file of PyX records, or a built dataset")
    add("--output", **path, help="folder of the new records")
    add("--samples", type=int, default=4, help="answers to each prompt; default 4")
    add("--max_new_tokens", type=int, default=512, help="default 512")
    add("--temperature", type=float, default=1.0, help="default 1")
    add("--seed", type=int, default=0, help="of every random choice; default 0")
    add("--max_records", type=int, help="ask the first ones only")
    return parser
