"""Sources of generations: a checkpoint in this process, or any OpenAI-compatible server.

A source loads its model or connects to its server on the first request.
"""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from data_pipeline.endpoint.client import Client, CompletionRequest, Endpoint, EndpointError
from data_pipeline.files import as_path
from semcoder_jax.checkpoints import CheckpointError
from semcoder_jax.errors import UserError
from semcoder_jax.evaluation.store import GenerationStore, checkpoint_identity
from semcoder_jax.inference.generate import Generation, SamplingParams, encode_prompt, stream
from semcoder_jax.loading import LoadedModel, load_model

REFUSED = "refused"
"""Finish reason of a prompt without an answer: it is too long, or the server rejected it."""


class SourceError(UserError, RuntimeError):
    """Raised when a source left questions unanswered; the store keeps the answers it gave."""


class GenerationSource(Protocol):
    """Generates texts for prompts and yields each one as it ends.

    name: label for people. identity: JSON-like value that distinguishes its generations from
    those of other sources. notes: lines on how its last generations were made otherwise than asked.
    refusal: a server's words in its last refusal of a prompt; None for a model in this process.
    """

    name: str
    identity: Mapping[str, Any]
    notes: Sequence[str]
    refusal: str | None

    def stream(
        self,
        prompts: Sequence[str],
        params: SamplingParams,
        *,
        row_seeds: Sequence[int],
        progress: str | None,
    ) -> Iterator[tuple[int, Generation]]: ...


class ModelSource:
    """Samples from a loaded model with the engine of this package."""

    refusal: str | None = None

    def __init__(
        self,
        model: LoadedModel,
        identity: Mapping[str, Any],
        *,
        name: str,
        batch_size: int = 64,
        speculation: str = "auto",
    ):
        self._model, self.identity = model, identity
        self.name, self.batch_size, self.speculation = name, batch_size, speculation
        self.notes: Sequence[str] = ()

    def model(self) -> LoadedModel:
        return self._model

    def stream(self, prompts, params, *, row_seeds, progress):
        """Refuses prompts that leave no room for an answer and samples the others."""
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
            speculation=self.speculation,
            progress=progress,
        ):
            yield fits[j], generation


class CheckpointSource(ModelSource):
    """Samples from an HF directory or a training workdir, which it loads on first use.

    Raises CheckpointError if the directory does not exist; `stream` raises it if the directory
    holds no model.
    """

    def __init__(self, directory: str | Path, *, batch_size: int = 64):
        if not as_path(directory).is_dir():
            raise CheckpointError(f"{directory}: no such directory")
        identity = {"checkpoint": checkpoint_identity(directory)}
        super().__init__(None, identity, name=str(directory), batch_size=batch_size)
        self._directory = directory

    def model(self) -> LoadedModel:
        if self._model is None:
            self._model = load_model(self._directory)
        return self._model


class EndpointSource:
    """Asks a server; `chat` sends each prompt as a user's message, not as text to continue.

    `chat` None: as text, or as a message if the server has no completions.
    """

    def __init__(self, endpoint: Endpoint, *, chat: bool | None = None):
        self.endpoint, self.chat = endpoint, chat
        self.name = f"{endpoint.model} ({endpoint.url})"
        self.identity = {"endpoint": endpoint.url, "model": endpoint.model, "chat": chat}
        self.notes: Sequence[str] = ()
        self.refusal: str | None = None

    def stream(self, prompts, params, *, row_seeds, progress):
        """Yields (index, generation).

        Raises EndpointError if no request can succeed, and SourceError at the end if some
        requests got no answer; the same command repeats those.
        """
        asks = (
            self._request(prompt, params, row_seed)
            for prompt, row_seed in zip(prompts, row_seeds, strict=True)
        )
        failures: list[EndpointError] = []
        bar = tqdm(total=len(prompts), desc=progress, unit="prompt", disable=progress is None)
        with bar, Client(self.endpoint, on_retry=bar.write if progress else None) as client:
            self.notes = client.learnt
            for i, reply in client.ask_all(asks):
                bar.update()
                if not isinstance(reply, EndpointError):
                    # An unknown reason proves neither a complete answer nor a cut one.
                    yield i, Generation(reply.texts[0], (), reply.finish_reasons[0] or "stop")
                elif reply.refused:
                    self.refusal = str(reply)
                    yield i, Generation("", (), REFUSED)
                else:
                    failures.append(reply)
        if failures:
            raise SourceError(
                f"{len(failures)} of {len(prompts)} requests got no answer ({failures[0]}); the "
                "same command asks them again"
            )

    def _request(self, prompt: str, params: SamplingParams, row_seed: int) -> CompletionRequest:
        text = CompletionRequest(
            prompt,
            max_new_tokens=params.max_new_tokens,
            temperature=params.temperature,
            top_p=params.top_p,
            stop=params.stop,
            seed=(params.seed + 1_000_003 * row_seed) % 2**31,
        )
        message = dataclasses.replace(
            text, prompt=({"role": "user", "content": prompt},), stop=chat_stops(params.stop)
        )
        if self.chat is None:
            return dataclasses.replace(text, fallback=message)
        return message if self.chat else text


def chat_stops(stop: Sequence[str]) -> tuple[str, ...]:
    """Returns the stop strings that suit a chat, whose answer may hold a program in a fence.

    Text to continue is inside a fence that the prompt has opened, so a fence ends it; in a chat's
    answer, it begins the program.
    """
    return tuple(string for string in stop if "```" not in string)


def generate_in_order(
    source: GenerationSource,
    prompts: Sequence[str],
    params: SamplingParams,
    *,
    row_seeds: Sequence[int],
) -> list[Generation]:
    """Returns the generations of all prompts, in their order, without a store and a bar."""
    found = dict(source.stream(prompts, params, row_seeds=row_seeds, progress=None))
    return [found[place] for place in range(len(prompts))]


# ==== Questions and their stored answers


@dataclasses.dataclass(frozen=True)
class Question:
    """Asks for one generation: the `sample`-th for `prompt` (from 0).

    repeat: how often the same prompt has been asked before, where each time is to be a new answer.
    """

    task: str
    sample: int
    prompt: str
    seed: int  # of the sample's own random stream
    repeat: int = 0

    @property
    def key(self) -> str:
        """Returns the id in a store, which includes a digest of the prompt.

        Modes with byte-identical prompts share one generation; different prompts never do.
        """
        again = f"/{self.repeat}" if self.repeat else ""
        return f"{self.task}#{self.sample}/{_digest(self.prompt)}{again}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class AskResult:
    """Generations by question key; tokens and seconds of those generated in this call."""

    generations: Mapping[str, Generation]
    new_tokens: int
    seconds: float


def ask(
    questions: Sequence[Question],
    source: GenerationSource | None,
    params: SamplingParams,
    store: GenerationStore,
    *,
    progress: str | None = "generating",
    on_answer: Callable[[str, Generation], None] = lambda key, generation: None,
) -> AskResult:
    """Answers `questions` from the store, or from the source and then stores the answers.

    Without a source, questions that the store lacks stay unanswered.
    `on_answer` is called with the key of each answered question, those of the store first.

    A server's refusals are answers once it has answered anything, in this call or in the store.
    Raises SourceError if it refused every request: that says nothing about the model.
    """
    wanted = {question.key: question for question in questions}
    for key in wanted:
        if key in store.rows:
            on_answer(key, _stored(store.rows[key]))
    left = [question for key, question in wanted.items() if key not in store.rows]
    new_tokens, started = 0, time.monotonic()
    is_sound = any(row["finish_reason"] != REFUSED for row in store.rows.values())
    held: list[tuple[Question, Generation]] = []
    if left and source is not None:
        for i, generation in source.stream(
            [question.prompt for question in left],
            params,
            row_seeds=[question.seed for question in left],
            progress=progress,
        ):
            new_tokens += len(generation.tokens)
            held.append((left[i], generation))
            is_refusal = generation.finish_reason == REFUSED and source.refusal is not None
            is_sound = is_sound or not is_refusal
            if is_sound:
                for question, given in held:
                    _keep(question, given, store)
                    on_answer(question.key, given)
                held.clear()
        if held:
            raise SourceError(f"all {len(held)} requests were refused ({source.refusal})")
    found = {key: _stored(store.rows[key]) for key in wanted if key in store.rows}
    return AskResult(found, new_tokens, time.monotonic() - started)


def _keep(question: Question, generation: Generation, store: GenerationStore) -> None:
    store.append(
        {
            "id": question.key,
            "task": question.task,
            "sample": question.sample,
            "text": generation.text,
            "finish_reason": generation.finish_reason,
        }
    )


def _stored(row: Mapping[str, Any]) -> Generation:
    return Generation(row["text"], (), row["finish_reason"])
