"""Tokenization, loss mask and packs: how records become the rows of a batch.

Tokenization is upstream's (src/dataset.py): prompt and completion are encoded separately, without
special tokens; ids = BOS + prompt, completion + EOS; cut on the right at the maximum length, which
loses the EOS. Of a record's n ids the inputs are ids[:-1] and the targets ids[1:], so it takes
n - 1 places of a pack and no target lies in another record.

Axes: R record, N token, B row (pack), T time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol

import numpy as np

_ENCODED_AT_ONCE = 1024  # prompts; enough to keep the tokenizer's threads busy, little memory
_COMPACT_AFTER = 256  # packs opened between two removals of the packs that are full


class PackingError(ValueError):
    """Lengths or a tokenizer that cannot be packed; the message is one line."""


class Tokenizer(Protocol):
    """What is used of a transformers tokenizer (`PreTrainedTokenizerFast`)."""

    bos_token_id: int | None
    eos_token_id: int | None

    def __call__(self, text: list[str], **options: Any) -> Any: ...


@dataclass(frozen=True)
class Example:
    """One record as tokens; `loss_mask` is True on the response and its EOS alone."""

    tokens: np.ndarray  # int32 [n]
    loss_mask: np.ndarray  # bool [n]


@dataclass(frozen=True)
class TokenTable:
    """Many records as flat arrays: record r is tokens_N[offsets[r] : offsets[r + 1]].

    Its first `prompt_lengths_R[r]` tokens are BOS and prompt; a cut record may have nothing else.
    """

    tokens_N: np.ndarray  # int32
    offsets: np.ndarray  # int64 [R + 1]
    prompt_lengths_R: np.ndarray  # int32, at most the record's length
    cut_R: np.ndarray  # bool: was longer than the maximum length; its end is lost
    kinds_R: np.ndarray  # int32: 1 + the index of the record's kind in records.TRAINING_KINDS

    def __len__(self) -> int:
        return len(self.prompt_lengths_R)

    def __getitem__(self, record: int) -> Example:
        if not -len(self) <= record < len(self):
            raise IndexError(f"record {record} of {len(self)}")
        record %= len(self)
        tokens = self.tokens_N[self.offsets[record] : self.offsets[record + 1]]
        return Example(tokens, np.arange(len(tokens)) >= self.prompt_lengths_R[record])

    def cut_to(self, max_length: int) -> "TokenTable":
        """The same records with at most `max_length` tokens each, the rest cut on the right."""
        lengths_R = np.minimum(self.lengths_R, max_length)
        cut_R = lengths_R < self.lengths_R
        if not cut_R.any():
            return self
        place_N = np.arange(len(self.tokens_N)) - np.repeat(self.offsets[:-1], self.lengths_R)
        return TokenTable(
            self.tokens_N[place_N < max_length],
            np.concatenate([[0], np.cumsum(lengths_R)]),
            np.minimum(self.prompt_lengths_R, lengths_R).astype(np.int32),
            self.cut_R | cut_R,
            self.kinds_R,
        )

    @property
    def lengths_R(self) -> np.ndarray:
        """Tokens in each record, BOS and EOS included. int64 [R]."""
        return np.diff(self.offsets)

    @property
    def loss_tokens_R(self) -> np.ndarray:
        """Targets with a loss in each record: response tokens and EOS. int64 [R]."""
        return self.lengths_R - self.prompt_lengths_R


@dataclass(frozen=True)
class Packs:
    """Which records lie in which pack: pack b holds records[starts[b] : starts[b + 1]]."""

    records: np.ndarray  # int64 [R], each record once
    starts: np.ndarray  # int64 [packs + 1]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, pack: int) -> np.ndarray:
        if not 0 <= pack < len(self):
            raise IndexError(f"pack {pack} of {len(self)}")
        return self.records[self.starts[pack] : self.starts[pack + 1]]

    def reordered(self, order: np.ndarray) -> "Packs":
        """The same packs, pack order[i] at place i."""
        return Packs.of([self[pack] for pack in order])

    @classmethod
    def of(cls, packs: Sequence[np.ndarray]) -> "Packs":
        """Packs from one array of record numbers each."""
        starts = np.cumsum([0, *map(len, packs)], dtype=np.int64)
        return cls(np.concatenate([np.empty(0, np.int64), *packs]), starts)


# --- tokenization ---------------------------------------------------------------------------------


def encode(
    prompt: str, response: str, tokenizer: Tokenizer, max_length: int | None = None
) -> Example:
    """One record as tokens, at most `max_length` of them (None: all). Raises PackingError."""
    return encode_table([(prompt, response, 1)], tokenizer, max_length)[0]


def encode_table(
    rows: Iterable[tuple[str, str, int]], tokenizer: Tokenizer, max_length: int | None = None
) -> TokenTable:
    """(prompt, response, kind number) of records as tokens, at most `max_length` each.

    Raises PackingError.
    """
    bos = _special_id(tokenizer, "bos_token_id")
    eos = _special_id(tokenizer, "eos_token_id")
    if max_length is not None and max_length < 2:
        raise PackingError(f"max_length: expected at least 2 tokens; got {max_length}")

    tokens: list[np.ndarray] = []
    lengths: list[int] = []
    prompt_lengths: list[int] = []
    cut: list[bool] = []
    kinds: list[int] = []
    rows = iter(rows)
    while batch := list(islice(rows, _ENCODED_AT_ONCE)):
        prompt_ids = _ids([prompt for prompt, _, _ in batch], tokenizer)
        response_ids = _ids([response for _, response, _ in batch], tokenizer)
        kinds.extend(kind for _, _, kind in batch)
        kept = []
        for prompt, response in zip(prompt_ids, response_ids, strict=True):
            ids = [bos, *prompt, *response, eos]
            kept.append(ids[:max_length])
            lengths.append(len(kept[-1]))
            prompt_lengths.append(min(1 + len(prompt), lengths[-1]))
            cut.append(len(ids) > lengths[-1])
        tokens.append(np.fromiter(chain.from_iterable(kept), np.int32))
    return TokenTable(
        np.concatenate([np.empty(0, np.int32), *tokens]),
        np.cumsum([0, *lengths], dtype=np.int64),
        np.array(prompt_lengths, np.int32),
        np.array(cut, bool),
        np.array(kinds, np.int32),
    )


def _ids(texts: list[str], tokenizer: Tokenizer) -> list[list[int]]:
    encoded = tokenizer(
        texts,
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,  # no warning about long records: they are cut by max_length and counted
    )
    return encoded["input_ids"]


def _special_id(tokenizer: Tokenizer, name: str) -> int:
    special_id = getattr(tokenizer, name, None)
    if special_id is None:
        raise PackingError(
            f"tokenizer: {name} is not set; expected an id, see its tokenizer_config.json"
        )
    return special_id


# --- planning -------------------------------------------------------------------------------------


def plan_packs(lengths_R: np.ndarray, capacity: int) -> Packs:
    """First-fit: each record in turn goes into the earliest pack that still has room for it.

    `lengths_R` are input tokens (a record's ids minus one), `capacity` the input tokens of a pack.
    Raises PackingError when a record is longer than a pack, or empty.
    """
    lengths_R = np.asarray(lengths_R, np.int64)
    if capacity < 1:
        raise PackingError(f"capacity: expected at least 1 token; got {capacity}")
    if len(lengths_R) == 0:
        return Packs.of([])
    if (bad := np.flatnonzero((lengths_R > capacity) | (lengths_R < 1))).size:
        raise PackingError(
            f"record {bad[0]}: expected 1 to {capacity} input tokens; got {lengths_R[bad[0]]} "
            f"({bad.size:,} of {len(lengths_R):,} records do not fit)"
        )
    pack_R = _first_fit(lengths_R.tolist(), capacity)
    # A stable sort keeps the records of a pack in the order in which they came.
    starts = np.concatenate([[0], np.cumsum(np.bincount(pack_R))])
    return Packs(np.argsort(pack_R, kind="stable"), starts.astype(np.int64))


def _first_fit(lengths: list[int], capacity: int) -> np.ndarray:
    """The pack of each record. int64 [R].

    The room left is kept only for packs that can still take the shortest record; those full are
    taken out from time to time, so that a search looks at few packs however many there are.
    """
    shortest = min(lengths)
    room = np.zeros(2 * _COMPACT_AFTER, np.int64)  # of the open packs, by age
    number = np.zeros_like(room)  # their pack numbers
    open_packs = packs = opened = 0
    pack_R = np.empty(len(lengths), np.int64)
    for record, length in enumerate(lengths):
        place = int((room[:open_packs] >= length).argmax()) if open_packs else 0
        if open_packs == 0 or room[place] < length:  # argmax is 0 also where nothing fits
            if opened >= _COMPACT_AFTER:
                kept = np.flatnonzero(room[:open_packs] >= shortest)
                open_packs, opened = len(kept), 0
                room[:open_packs], number[:open_packs] = room[kept], number[kept]
            if open_packs == len(room):
                room, number = (np.concatenate([a, np.zeros_like(a)]) for a in (room, number))
            place = open_packs
            room[place], number[place] = capacity, packs
            open_packs, packs, opened = open_packs + 1, packs + 1, opened + 1
        room[place] -= length
        pack_R[record] = number[place]
    return pack_R


# --- layout ---------------------------------------------------------------------------------------


def lay_out(
    table: TokenTable, packs: Sequence[np.ndarray], capacity: int, pad_id: int = 0
) -> dict[str, np.ndarray]:
    """Packs (record numbers each) as the rows of a batch, all [B, T] with T = capacity:

    - `tokens` int32: inputs; `pad_id` after the last record;
    - `targets` int32: the next token of the same record;
    - `loss_mask` bool: the target is a response token or its EOS;
    - `segment_ids` int32: 1, 2, ... for the records of a row, 0 on padding;
    - `positions` int32: from 0 in each record, 0 on padding;
    - `kinds` int32: 1 + the index of the record's kind in records.TRAINING_KINDS, 0 on padding.

    Raises PackingError when a pack's records do not fit.
    """
    shape = (len(packs), capacity)
    batch = {
        "tokens": np.full(shape, pad_id, np.int32),
        "targets": np.full(shape, pad_id, np.int32),
        "loss_mask": np.zeros(shape, bool),
        "segment_ids": np.zeros(shape, np.int32),
        "positions": np.zeros(shape, np.int32),
        "kinds": np.zeros(shape, np.int32),
    }
    for row, pack in enumerate(packs):
        start = 0
        for segment, record in enumerate(pack, start=1):
            ids = table.tokens_N[table.offsets[record] : table.offsets[record + 1]]
            size = len(ids) - 1
            here = (row, slice(start, start + size))
            if start + size > capacity:
                raise PackingError(f"pack {row}: expected at most {capacity} input tokens")
            batch["tokens"][here] = ids[:-1]
            batch["targets"][here] = ids[1:]
            batch["segment_ids"][here] = segment
            batch["positions"][here] = np.arange(size)
            batch["kinds"][here] = table.kinds_R[record]
            # The input at place i predicts id i + 1, a response token from prompt_length on.
            first_loss = start + table.prompt_lengths_R[record] - 1
            batch["loss_mask"][row, first_loss : start + size] = True
            start += size
    return batch
