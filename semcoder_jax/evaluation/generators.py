"""Where generations come from: a checkpoint in this process, or any OpenAI-compatible server.

Loading and connecting wait until something is asked.
"""

import dataclasses
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from data_pipeline.endpoint.client import Client, CompletionRequest, Endpoint, EndpointError
from semcoder_jax.checkpoints import CheckpointError
from semcoder_jax.errors import UserError
from semcoder_jax.evaluation.store import GenerationStore, checkpoint_identity
from semcoder_jax.inference.generate import Generation, SamplingParams, encode_prompt, stream
from semcoder_jax.loading import LoadedModel, load_model

REFUSED = "refused"
"""Finish reason of a prompt that was never answered: too long for the model, or turned down."""


class SourceError(UserError, RuntimeError):
    """A source that left questions without answer; those it answered are kept."""


class Source(Protocol):
    """Generations of prompts, as they end.

    name: for people. identity: JSON-like, what tells its generations from another's.
    """

    name: str
    identity: Mapping[str, Any]

    def stream(
        self,
        prompts: Sequence[str],
        params: SamplingParams,
        *,
        row_seeds: Sequence[int],
        progress: str | None,
    ) -> Iterator[tuple[int, Generation]]: ...


class ModelSource:
    """Our own sampler over a model that is loaded."""

    def __init__(
        self, model: LoadedModel, identity: Mapping[str, Any], *, name: str, batch_size: int = 64
    ):
        self._model, self.identity = model, identity
        self.name, self.batch_size = name, batch_size

    def model(self) -> LoadedModel:
        return self._model

    def stream(self, prompts, params, *, row_seeds, progress):
        """Prompts that leave no room for an answer are refused, the others sampled."""
        model = self.model()
        tokens = [encode_prompt(model.tokenizer, prompt) for prompt in prompts]
        fits = [i for i, row in enumerate(tokens) if 0 < len(row) < model.config.max_positions]
        for i in sorted(set(range(len(prompts))) - set(fits)):
            yield i, Generation("", (), REFUSED)
        for j, generation in stream(
            model,
            [tokens[i] for i in fits],
            params,
            batch_size=self.batch_size,
            row_seeds=[row_seeds[i] for i in fits],
            progress=progress,
        ):
            yield fits[j], generation


class CheckpointSource(ModelSource):
    """The same over an HF directory or a training workdir, loaded when first asked.

    Raises CheckpointError where there is no such directory; `stream` where it holds no model.
    """

    def __init__(self, directory: str | Path, *, batch_size: int = 64):
        if not Path(directory).is_dir():
            raise CheckpointError(f"{directory}: no such directory")
        identity = {"checkpoint": checkpoint_identity(directory)}
        super().__init__(None, identity, name=str(directory), batch_size=batch_size)
        self._directory = directory

    def model(self) -> LoadedModel:
        if self._model is None:
            self._model = load_model(self._directory)
        return self._model


class EndpointSource:
    """A server; `chat` sends each prompt as a user's message instead of text to be continued."""

    def __init__(self, endpoint: Endpoint, *, chat: bool = False):
        self.endpoint, self.chat = endpoint, chat
        self.name = f"{endpoint.model} ({endpoint.url})"
        self.identity = {"endpoint": endpoint.url, "model": endpoint.model, "chat": chat}

    def stream(self, prompts, params, *, row_seeds, progress):
        """Raises EndpointError where no request can succeed, and SourceError at the end where some
        got no answer: the same command asks those again."""
        asks = (
            CompletionRequest(
                ({"role": "user", "content": prompt},) if self.chat else prompt,
                max_new_tokens=params.max_new_tokens,
                temperature=params.temperature,
                top_p=params.top_p,
                stop=params.stop,
                seed=(params.seed + 1_000_003 * row_seed) % 2**31,
            )
            for prompt, row_seed in zip(prompts, row_seeds, strict=True)
        )
        failures: list[EndpointError] = []
        bar = tqdm(total=len(prompts), desc=progress, unit="prompt", disable=progress is None)
        with bar, Client(self.endpoint, on_retry=bar.write if progress else None) as client:
            for i, reply in client.ask_all(asks):
                bar.update()
                if not isinstance(reply, EndpointError):
                    # An unknown reason is no proof of a whole answer, but nor of a cut one.
                    yield i, Generation(reply.texts[0], (), reply.finish_reasons[0] or "stop")
                elif reply.refused:
                    bar.write(f"prompt {i}: {reply}")
                    yield i, Generation("", (), REFUSED)
                else:
                    failures.append(reply)
        if failures:
            raise SourceError(
                f"{len(failures)} of {len(prompts)} requests got no answer ({failures[0]}); the "
                "same command asks them again"
            )


# ==== What is asked, and what is kept


@dataclasses.dataclass(frozen=True)
class Question:
    """One generation to be had: the `sample`-th for `prompt` (from 0)."""

    task: str
    sample: int
    prompt: str
    seed: int  # of its random stream, whatever else is asked with it

    @property
    def key(self) -> str:
        """Its name in a store. The prompt is part of it: where two modes ask in the same bytes
        one generation serves both, and an answer to other bytes is never taken for this one's."""
        return f"{self.task}#{self.sample}/{_digest(self.prompt)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Asked:
    """Generations by question key; tokens and seconds of those made now."""

    generations: Mapping[str, Generation]
    new_tokens: int
    seconds: float


def ask(
    questions: Sequence[Question],
    source: Source | None,
    params: SamplingParams,
    store: GenerationStore,
    *,
    progress: str | None = "generating",
) -> Asked:
    """Generations of `questions`: out of the store, or from the source and then put there.

    Without a source what is not stored stays unanswered.
    """
    wanted = {question.key: question for question in questions}
    left = [question for key, question in wanted.items() if key not in store.rows]
    new_tokens, started = 0, time.monotonic()
    if left and source is not None:
        for i, generation in source.stream(
            [question.prompt for question in left],
            params,
            row_seeds=[question.seed for question in left],
            progress=progress,
        ):
            new_tokens += len(generation.tokens)
            question = left[i]
            store.append(
                {
                    "id": question.key,
                    "task": question.task,
                    "sample": question.sample,
                    "text": generation.text,
                    "finish_reason": generation.finish_reason,
                }
            )
    rows = {key: store.rows[key] for key in wanted if key in store.rows}
    found = {key: Generation(row["text"], (), row["finish_reason"]) for key, row in rows.items()}
    return Asked(found, new_tokens, time.monotonic() - started)
