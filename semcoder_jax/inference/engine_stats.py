"""Counters of an engine, and the rates computed from them."""

import dataclasses


@dataclasses.dataclass
class EngineStats:
    """Counters since the engine was created (`seconds`: time with work to do).

    Attributes:
      prompt_tokens: prefilled, without padding; cached_tokens: those of prompts that were in the
        cache already; generated_tokens: including discarded ones.
      steps: passes of decoding; row_steps: active rows summed over them.
      drafted_steps, drafted_row_steps, drafted_tokens: the same for passes with drafts, and
        the tokens they gave.
      restarts: samples restarted because pages were lacking.
      finished: ended samples, including the cancelled ones.
    """

    num_slots: int
    seconds: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    steps: int = 0
    row_steps: int = 0
    drafted_steps: int = 0
    drafted_row_steps: int = 0
    drafted_tokens: int = 0
    restarts: int = 0
    finished: int = 0
    cancelled: int = 0

    def count_chunk(self, num_steps: int, row_steps: int, num_tokens: int, drafts: int) -> None:
        """Adds a chunk of decoding, which checked `drafts` tokens a step."""
        self.steps += num_steps
        self.row_steps += row_steps
        self.generated_tokens += num_tokens
        if drafts:
            self.drafted_steps += num_steps
            self.drafted_row_steps += row_steps
            self.drafted_tokens += num_tokens

    @property
    def occupancy(self) -> float:
        """Share of the slots' steps in which a row was active."""
        return self.row_steps / max(self.steps * self.num_slots, 1)

    @property
    def tokens_per_second(self) -> float:
        return self.generated_tokens / self.seconds if self.seconds else 0.0

    @property
    def accepted(self) -> float:
        """Mean number of accepted draft tokens per row and pass with drafts."""
        if not self.drafted_row_steps:
            return 0.0
        return self.drafted_tokens / self.drafted_row_steps - 1
