"""Samples buggy variants from a model, which sees the task and the right program.

An answer is a program of unknown origin: it is stripped of remarks about its own bug, screened, and
run in the sandbox on the visible tests. It is kept only if it fails one of them and its run can be
compared with the right one line by line.
"""

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from typing import Any

from data_pipeline.endpoint.client import CompletionRequest, EndpointError, Messages
from data_pipeline.endpoint.reply_cache import CachedClient
from data_pipeline.execution.service import Sandbox
from data_pipeline.faults.alignment import likeness
from data_pipeline.faults.fault import Faults
from data_pipeline.faults.mutant import Mutant
from data_pipeline.faults.search import MAX_CHARACTERS, faults_of
from data_pipeline.seeds import Seed
from data_pipeline.source.edits import EditableProgram
from data_pipeline.testcases import Case

OPERATOR = "model"
MIN_LIKENESS = 0.5
"""Minimum share of the right program's lines in a sample: rewritten programs cannot be compared
line by line."""

SLIPS = (
    "a loop or slice that is off by one", "a special case that is forgotten",
    "a wrong comparison at a boundary", "a variable used in place of another one",
    "a result that is updated in the wrong place", "an initial value that is wrong",
    "operations in the wrong order", "a condition that is too wide or too narrow",
)  # fmt: skip
_RULES = """You make exercises in debugging. You get a task and a program that solves it.
Write the program again with one realistic slip that a good programmer could make: it still runs,
but gives a wrong result for some inputs.
Rules:
- Change as little as possible; leave all other lines exactly as they are.
- Keep the names of functions and variables, and import nothing new.
- Say nothing about the slip: no comment, no docstring, no explanation.
- Answer with the whole program in one ```python fence."""
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)


def sample_faults(
    seed: Seed,
    cases: Sequence[Case],
    sandbox: Sandbox,
    client: CachedClient,
    *,
    samples: int = 4,
    limit: int = 4,
    random_seed: int = 0,
    temperature: float = 0.8,
    max_new_tokens: int = 1024,
    chat: bool = True,
    max_characters: int = MAX_CHARACTERS,
) -> Faults:
    """Returns at most `limit` faults from `samples` answers; the same answers give the same faults.

    chat: use /chat/completions if the server has it, else /completions. Raises EndpointError if
    the endpoint is unusable.
    """
    asks = [
        _request(
            seed,
            number,
            chat,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=random_seed + number,
        )
        for number in range(samples)
    ]
    refused: Counter[str] = Counter()
    variants: list[Mutant] = []
    seen = {_syntax(seed.code)}
    for text in _answers(client, asks):
        if text is None:
            refused["the endpoint gave no answer"] += 1
            continue
        try:
            program = extract_program(text, seed)
        except ValueError as error:
            refused[str(error)] += 1
            continue
        if (syntax := _syntax(program)) in seen:
            refused["the right program again, or the same sample"] += 1
            continue
        seen.add(syntax)
        variants.append(Mutant(OPERATOR, program))
    found = faults_of(
        seed, cases, variants, sandbox,
        random=Random(f"{random_seed}:{seed.id}:model"), limit=limit,
        max_characters=max_characters,
    )  # fmt: skip
    return replace(found, refused=found.refused + refused)


def _request(function: Seed, number: int, chat: bool, **sampling: Any) -> CompletionRequest:
    """Returns the request for sample `number` of a function."""
    text = CompletionRequest(completion(function, number), stop=("```",), **sampling)
    if not chat:
        return text
    return CompletionRequest(question(function, number), fallback=text, **sampling)


def question(seed: Seed, number: int) -> Messages:
    """Returns the messages that ask the model for sample `number`."""
    task = seed.nl.strip() or f"What the function `{seed.name}` does."
    slip = SLIPS[number % len(SLIPS)]
    return (
        {"role": "system", "content": _RULES},
        {
            "role": "user",
            "content": f"### Task\n{task}\n\n### Program\n```python\n{seed.code.rstrip()}\n```\n\n"
            f"If the program allows it, make the slip {slip}.",
        },
    )


def completion(seed: Seed, number: int) -> str:
    """Returns the same request for a completion model, which continues inside the fence."""
    rules, asked = (message["content"] for message in question(seed, number))
    return f"{rules}\n\n{asked}\n\n### Program with the slip\n```python\n"


def extract_program(answer: str, seed: Seed) -> str:
    """Returns the cleaned program of an answer; raises ValueError with a short reason."""
    fence = _FENCE.search(answer)
    text = (fence[1] if fence else answer).replace("\r\n", "\n").expandtabs(4).strip("\n") + "\n"
    try:
        text = "\n".join(line.rstrip() for line in _without_words(text, seed.code).split("\n"))
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        raise ValueError("the sample is no program") from None
    if not any(isinstance(n, ast.FunctionDef) and n.name == seed.name for n in tree.body):
        raise ValueError("the sample lacks the function")
    if _imports(tree) - _imports(ast.parse(seed.code)):
        raise ValueError("the sample imports something new")
    if likeness(seed.code, text) < MIN_LIKENESS:
        raise ValueError("the sample is another program")
    return text


def _answers(client: CachedClient, asks: Sequence[CompletionRequest]) -> Iterator[str | None]:
    """Yields the texts in the order of the requests; None for a request without an answer."""

    def text_of(ask: CompletionRequest) -> str | None:
        try:
            return client.ask(ask).texts[0]
        except EndpointError as error:
            if error.final:
                raise
            return None

    with ThreadPoolExecutor(client.client.endpoint.concurrency, "samples") as pool:
        yield from pool.map(text_of, asks)


def _without_words(text: str, right: str) -> str:
    """Removes comments and docstrings that the right program lacks, as they may reveal the bug.

    Raises SyntaxError or TokenError.
    """
    known = set(_comments(right))
    lines = text.split("\n")
    for token in reversed(list(_comment_tokens(text))):
        if token.string not in known:
            row, column = token.start
            before = lines[row - 1][:column].rstrip()
            lines[row - 1 : row] = [before] if before else []
    source = EditableProgram("\n".join(lines))
    spoken = {ast.dump(node) for node in ast.walk(ast.parse(right)) if _is_text(node)}
    edits = []
    for node in ast.walk(source.tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and len(body) > 1:
            edits += [
                (source.lines_of(statement), "")
                for statement in body
                if _is_text(statement) and ast.dump(statement) not in spoken
            ]
    return source.replace(*edits)


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _comment_tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return (token for token in tokens if token.type == tokenize.COMMENT)


def _comments(text: str) -> Iterator[str]:
    return (token.string for token in _comment_tokens(text))


def _imports(tree: ast.Module) -> set[str]:
    """Returns the import statements of a program, as text."""
    return {
        alias
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
        for alias in [f"{getattr(node, 'module', None)}:{name.name}"]
    }


def _syntax(program: str) -> str:
    return ast.dump(ast.parse(program))
