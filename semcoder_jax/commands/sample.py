"""Completes the prompts in a file.

    python -m semcoder_jax.sample --checkpoint=DIR --prompts=FILE.jsonl --output=FILE.jsonl

DIR is an HF directory or a training workdir. Each input row {"id", "prompt"} gives an output row
{"id", "text", "finish_reason"}, in input order. "id" is text or a whole number; finish_reason is
"stop" (EOS or a stop string) or "length". An input row may override the flags: "temperature",
"top_p", "top_k", "seed", "stop" (a list), "max_new_tokens", "n", "logprobs".

With n above 1 a prompt gives n output rows, numbered by "sample" (0 … n - 1). With logprobs=K an
output row has "logprobs": for each token its "token" (id) and "logprob", and in "top" the K most
probable [id, logprob]. These are the model's own, before temperature, top_k and top_p.

The output of a row depends only on its prompt, parameters, seed and position in the file, never on
--slots, --speculation or other rows. Finished rows are stored in OUTPUT.partial during the run. If
interrupted, the same command continues from there and gives the same result. OUTPUT is written
completely at the end.
"""

from collections.abc import Sequence

from data_pipeline.files import path_text
from data_pipeline.terminal.command_line import CommandLineError, CommandParser, run_command

SPECULATION = ("auto", "always", "off")  # as inference.capacity knows them, without loading JAX


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 2 user error, 130 interrupted."""
    stopped = "interrupted; the same command goes on with the rows left"
    return run_command(_run, argv, stopped=stopped)


def _run(arguments: Sequence[str]) -> None:
    args = _parser().parse_args(arguments)
    for name in ("slots", "n"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise CommandLineError(f"--{name}={value}: expected at least 1")
    if "" in args.stop:
        raise CommandLineError("--stop=: empty; expected the text that ends a row")
    from semcoder_jax.evaluation.prompt_file import sample_file  # JAX starts here, after the flags
    from semcoder_jax.inference.params import SamplingParams

    params = SamplingParams(
        max_new_tokens=args.max_new_tokens,
        temperature=args.temperature,
        top_p=args.top_p,
        stop=tuple(args.stop),
        seed=args.seed,
        top_k=args.top_k,
        logprobs=args.logprobs,
    )
    count = sample_file(
        args.checkpoint,
        args.prompts,
        args.output,
        params,
        n=args.n,
        num_slots=args.slots,
        speculation=args.speculation,
    )
    print(f"{args.output}: {count:,} rows" if count != 1 else f"{args.output}: 1 row")


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m semcoder_jax.sample", description=__doc__)
    add = parser.add_argument
    add("--checkpoint", required=True, type=path_text, help="HF directory or training workdir")
    add("--prompts", required=True, type=path_text, help='JSON lines {"id", "prompt", …}')
    add("--output", required=True, type=path_text, help='JSON lines {"id", "text", …}')
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
        help="most rows decoded together, rounded up to 1, 2, 4, 8, 16, 24, …; default: 16 on CPU, "
        "64 elsewhere",
    )
    add(
        "--speculation",
        default="auto",
        choices=SPECULATION,
        help="drafts from earlier text: where they pay (default), always, off; same tokens",
    )
    return parser
