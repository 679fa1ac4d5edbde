"""A model of lm-evaluation-harness that samples and scores with this package's engine.

    pip install "semcoder-jax[lm-eval]"
    python -m semcoder_jax.integrations.lm_eval_model run --model semcoder \\
        --model_args checkpoint=DIR,dtype=bfloat16 --tasks arc_easy,humaneval

`checkpoint` is a Hugging Face directory or a training workdir (`step` chooses its checkpoint), so
a run can be scored before it is exported. Other arguments are those of the harness's command.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import lm_eval.models  # noqa: F401 - the harness's own models, which only an empty registry gets
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from semcoder_jax.inference.detokenize import encode_prompt, ordinary_encoder_of
from semcoder_jax.inference.generate import SamplingParams, stream_requests
from semcoder_jax.inference.likelihood import score_rows
from semcoder_jax.inference.params import SamplingError
from semcoder_jax.inference.request import Request
from semcoder_jax.loading import load_model

_SAMPLING = {"temperature", "top_p", "top_k", "seed"}
_IGNORED = {"do_sample", "until", "max_gen_toks", "max_tokens", "max_new_tokens"}  # read by name


@register_model("semcoder")
class SemCoderLM(LM):
    """Answers the harness's three kinds of request.

    Args:
      checkpoint: HF directory or training workdir.
      step: of a workdir, a step or "best".
      dtype: "float32" or "bfloat16".
      quantize: whether to store weights as int8.
      batch_size: rows computed together ("auto": 16).
      max_gen_toks: most tokens of an answer whose task names no limit.
      device, max_batch_size: of the harness's command; JAX chooses the device.
    """

    def __init__(
        self,
        checkpoint: str,
        *,
        step: int | str | None = None,
        dtype: str = "float32",
        quantize: bool = False,
        batch_size: int | str | None = None,
        max_gen_toks: int = 256,
        device: str | None = None,
        max_batch_size: int | None = None,
    ):
        super().__init__()
        self.model = load_model(checkpoint, dtype=dtype, quantize=quantize, step=step)
        self.checkpoint, self.max_gen_toks = checkpoint, max_gen_toks
        self.batch_size = 16 if batch_size in (None, "auto") else int(batch_size)
        self._is_chat = False

    # ---- log-probabilities

    def loglikelihood(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        pairs = [self._encode_pair(*request.args) for request in requests]
        found = self._score(pairs, None if disable_tqdm else "loglikelihood")
        for request, answer in zip(requests, found, strict=True):
            self.cache_hook.add_partial("loglikelihood", request.args, answer)
        return found

    def loglikelihood_rolling(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[float]:
        windows, owners = [], []
        for owner, request in enumerate(requests):
            for window in get_rolling_token_windows(
                token_list=self._encode_continuation(request.args[0]),
                prefix_token=self._prefix,
                max_seq_len=self.model.config.max_positions,
                context_len=1,
            ):
                windows.append(make_disjoint_window(window))
                owners.append(owner)
        sums = [0.0] * len(requests)
        scores = self._score(windows, None if disable_tqdm else "loglikelihood_rolling")
        for owner, (logprob, _) in zip(owners, scores, strict=True):
            sums[owner] += logprob
        for request, answer in zip(requests, sums, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, answer)
        return sums

    def _score(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], progress: str | None
    ) -> list[tuple[float, bool]]:
        """Scores continuations; of a context that is too long, the end counts."""
        most = self.model.config.max_positions + 1
        rows = [[*context, *continuation][-most:] for context, continuation in pairs]
        counts = [
            min(len(continuation), len(row) - 1)
            for (_, continuation), row in zip(pairs, rows, strict=True)
        ]
        found = score_rows(self.model, rows, counts, batch_size=self.batch_size, progress=progress)
        return [(one.logprob, one.is_greedy) for one in found]

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Encodes both as one text and splits it where the continuation begins to matter.

        Spaces at the end of the context belong to the continuation, as the harness has it. So does
        a token in which the two meet; most tokenizers have none.
        """
        if not context:
            return [self._prefix], self._encode_continuation(continuation)
        whole, before = self._encode(context + continuation), self._encode(context.rstrip())
        pairs = enumerate(zip(whole, before, strict=False))
        first = next((i for i, (one, other) in pairs if one != other), min(len(whole), len(before)))
        return whole[:first] or [self._prefix], whole[first:]

    def _encode(self, text: str) -> list[int]:
        if self._is_chat:  # the template has written the control tokens
            return self.model.tokenizer.encode(text, add_special_tokens=False)
        return encode_prompt(self.model.tokenizer, text)

    def _encode_continuation(self, text: str) -> list[int]:
        return list(ordinary_encoder_of(self.model.tokenizer)([text])[0])

    @property
    def _prefix(self) -> int:
        tokenizer = self.model.tokenizer
        bos = tokenizer.bos_token_id
        return tokenizer.eos_token_id if bos is None else bos

    # ---- generation

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        asked = [
            Request(
                self._encode_to_generate(context, params), params, first_sample=number, id=number
            )
            for number, request in enumerate(requests)
            for context, params in [(request.args[0], self._params(request.args[1]))]
        ]
        texts = [""] * len(asked)
        for update in stream_requests(
            self.model,
            asked,
            batch_size=self.batch_size,
            progress=None if disable_tqdm else "generate_until",
        ):
            texts[update.id] = update.generation.text
        for request, text in zip(requests, texts, strict=True):
            self.cache_hook.add_partial("generate_until", request.args, text)
        return texts

    def _encode_to_generate(self, context: str, params: SamplingParams) -> list[int]:
        """Encodes a context; of one that is too long, the end that leaves room for an answer."""
        room = self.model.config.max_positions - params.max_new_tokens
        if room < 1:
            raise SamplingError(
                f"max_gen_toks={params.max_new_tokens}: expected less than the model's context "
                f"({self.model.config.max_positions})"
            )
        return self._encode(context)[-room:] or [self._prefix]

    def _params(self, given: Mapping[str, Any]) -> SamplingParams:
        if unknown := sorted(given.keys() - _SAMPLING - _IGNORED):
            raise SamplingError(f"generation_kwargs: {unknown[0]}: not supported by this model")
        until = given.get("until") or []
        limits = ("max_gen_toks", "max_new_tokens", "max_tokens")
        limit = next((given[name] for name in limits if name in given), self.max_gen_toks)
        sampled = {name: given[name] for name in _SAMPLING if given.get(name) is not None}
        if given.get("do_sample") is False:
            sampled["temperature"] = 0.0
        return SamplingParams(
            max_new_tokens=int(limit),
            stop=tuple(one for one in ([until] if isinstance(until, str) else until) if one),
            **sampled,
        )

    # ---- chats

    @property
    def tokenizer_name(self) -> str:
        return self.checkpoint.replace("/", "__")

    def chat_template(self, chat_template: bool | str = False) -> str:
        return self.model.tokenizer.chat_template or ""

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        self._is_chat = True
        return self.model.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )


def main() -> None:
    """Runs the harness's command, which then knows the model "semcoder"."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


if __name__ == "__main__":
    sys.exit(main())
