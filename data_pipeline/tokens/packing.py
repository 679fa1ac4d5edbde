"""Tokenizes records, computes loss masks and packs records into the rows of a batch.

Tokenizes as upstream does (src/dataset.py): encodes prompt and completion separately, without
special tokens; ids = BOS + prompt, completion + EOS (no BOS from a tokenizer that has none); cuts
on the right at the maximum length, which loses the EOS. Unlike upstream, text spelled as a control
token stays text (`control_tokens`). The inputs of a record with n ids are ids[:-1] and the targets
ids[1:], so it takes n - 1 positions of a pack and no target belongs to another record.

Packs are planned by record number because the state of Grain's packing iterators is valid only for
one number of processes; any number of processes can read a plan.

Axes: R record, N token, B row (pack), T time.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol

import numpy as np

from data_pipeline.errors import UserError
from data_pipeline.pyx.control_tokens import ControlTextError, Encoder, ordinary_encoder

_ENCODING_BATCH = 1024  # prompts; keeps the tokenizer's threads busy with little memory


class PackingError(UserError):
    """Reports lengths or a tokenizer that cannot be used; the message is one line."""


class Tokenizer(Protocol):
    """Describes the part of transformers' `PreTrainedTokenizerFast` in use."""

    bos_token_id: int | None
    eos_token_id: int | None

    def __call__(self, text: list[str], **options: Any) -> Any: ...


@dataclass(frozen=True)
class TokenizedRecord:
    """Holds the tokens of one record; `loss_mask` is True only on the response and its EOS."""

    tokens: np.ndarray  # int32 [n]
    loss_mask: np.ndarray  # bool [n]


class TokenSource(Protocol):
    """Gives access to tokenized records with BOS and EOS: sizes in memory, tokens on request."""

    lengths_R: np.ndarray  # int64: tokens in each record
    prompt_lengths_R: np.ndarray  # int32: leading tokens that are BOS and prompt
    cut_R: np.ndarray  # bool: the record was longer and its end was cut
    kinds_R: np.ndarray  # int32: 1 + the index of the record's kind in records.TRAINING_KINDS
    datasets_R: np.ndarray  # int32: the index of the record's dataset in dataset_names
    dataset_names: tuple[str, ...]

    def __len__(self) -> int: ...

    def tokens(self, records: np.ndarray) -> list[np.ndarray]:
        """Returns the tokens of these records, in order."""
        ...

    def digest(self) -> str:
        """Returns a hash of everything that decides batches."""
        ...


@dataclass(frozen=True)
class TokenTable:
    """Holds a TokenSource in memory: record r is tokens_N[offsets[r] : offsets[r + 1]].

    Its first `prompt_lengths_R[r]` tokens are BOS and prompt; a cut record may have no others.
    """

    tokens_N: np.ndarray  # int32
    offsets: np.ndarray  # int64 [R + 1]
    prompt_lengths_R: np.ndarray  # int32, at most the record's length
    cut_R: np.ndarray  # bool: the record exceeded the maximum length and was cut
    kinds_R: np.ndarray  # int32: 1 + the index of the record's kind in records.TRAINING_KINDS

    def __len__(self) -> int:
        return len(self.prompt_lengths_R)

    def __getitem__(self, record: int) -> TokenizedRecord:
        if not -len(self) <= record < len(self):
            raise IndexError(f"record {record} of {len(self)}")
        record %= len(self)
        tokens = self.tokens_N[self.offsets[record] : self.offsets[record + 1]]
        return TokenizedRecord(tokens, np.arange(len(tokens)) >= self.prompt_lengths_R[record])

    def tokens(self, records: np.ndarray) -> list[np.ndarray]:
        """Returns the tokens of these records, in order. int32."""
        return [self.tokens_N[self.offsets[r] : self.offsets[r + 1]] for r in records]

    def digest(self) -> str:
        """Returns a hexadecimal SHA-256 of tokens, lengths and kinds."""
        digest = hashlib.sha256()
        for array in (self.tokens_N, self.offsets, self.prompt_lengths_R, self.kinds_R):
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()

    @property
    def dataset_names(self) -> tuple[str, ...]:
        """Returns one empty name: a table is one unnamed dataset."""
        return ("",)

    @property
    def datasets_R(self) -> np.ndarray:
        """Returns dataset index 0 for every record. int32 [R]."""
        return np.zeros(len(self), np.int32)

    @property
    def lengths_R(self) -> np.ndarray:
        """Returns the number of tokens in each record, with BOS and EOS. int64 [R]."""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class Packs:
    """Assigns records to packs: pack b holds records[starts[b] : starts[b + 1]]."""

    records: np.ndarray  # int64 [R], each record once
    starts: np.ndarray  # int64 [packs + 1]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, pack: int) -> np.ndarray:
        if not 0 <= pack < len(self):
            raise IndexError(f"pack {pack} of {len(self)}")
        return self.records[self.starts[pack] : self.starts[pack + 1]]

    def reorder(self, order: np.ndarray) -> "Packs":
        """Returns the same packs with pack order[i] at position i."""
        sizes = np.diff(self.starts)[order]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        places = np.arange(starts[-1]) + np.repeat(self.starts[order] - starts[:-1], sizes)
        return Packs(self.records[places], starts)

    @classmethod
    def of(cls, packs: Sequence[np.ndarray]) -> "Packs":
        """Makes packs from one array of record numbers each."""
        starts = np.cumsum([0, *map(len, packs)], dtype=np.int64)
        return cls(np.concatenate([np.empty(0, np.int64), *packs]), starts)


# --- tokenization ---------------------------------------------------------------------------------


def encode(
    prompt: str, response: str, tokenizer: Tokenizer, max_length: int | None = None
) -> TokenizedRecord:
    """Tokenizes one record, cut to `max_length` (None for uncut). Raises PackingError."""
    return encode_table([(prompt, response, 1)], tokenizer, max_length)[0]


def encode_table(
    rows: Iterable[tuple[str, str, int]], tokenizer: Tokenizer, max_length: int | None = None
) -> TokenTable:
    """Tokenizes records (prompt, response, kind number), each cut to `max_length` tokens.

    Raises PackingError.
    """
    bos_id, eos = tokenizer.bos_token_id, _eos_id(tokenizer)
    bos = [] if bos_id is None else [bos_id]  # Qwen's tokenizer has none
    if max_length is not None and max_length < 2:
        raise PackingError(f"max_length: expected at least 2 tokens; got {max_length}")

    encoder = ordinary_encoder(tokenizer)
    tokens: list[np.ndarray] = []
    lengths: list[int] = []
    prompt_lengths: list[int] = []
    cut: list[bool] = []
    kinds: list[int] = []
    rows = iter(rows)
    while batch := list(islice(rows, _ENCODING_BATCH)):
        prompt_ids = _ids([prompt for prompt, _, _ in batch], encoder)
        response_ids = _ids([response for _, response, _ in batch], encoder)
        kinds.extend(kind for _, _, kind in batch)
        kept = []
        for prompt, response in zip(prompt_ids, response_ids, strict=True):
            ids = [*bos, *prompt, *response, eos]
            kept.append(ids[:max_length])
            lengths.append(len(kept[-1]))
            # At least 1: no token is predicted from nothing.
            prompt_lengths.append(min(max(len(bos) + len(prompt), 1), lengths[-1]))
            cut.append(len(ids) > lengths[-1])
        tokens.append(np.fromiter(chain.from_iterable(kept), np.int32))
    return TokenTable(
        np.concatenate([np.empty(0, np.int32), *tokens]),
        np.cumsum([0, *lengths], dtype=np.int64),
        np.array(prompt_lengths, np.int32),
        np.array(cut, bool),
        np.array(kinds, np.int32),
    )


def _ids(texts: list[str], encoder: Encoder) -> list[list[int]]:
    try:
        return encoder(texts)
    except ControlTextError as error:
        raise PackingError(str(error)) from None


def _eos_id(tokenizer: Tokenizer) -> int:
    if tokenizer.eos_token_id is None:
        raise PackingError(
            "tokenizer: eos_token_id is not set; expected an id: set it in tokenizer_config.json"
        )
    return tokenizer.eos_token_id


# --- planning -------------------------------------------------------------------------------------


def plan_packs(lengths_R: np.ndarray, capacity: int, window: int = 1) -> Packs:
    """Plans packs by best fit: each record goes into the fullest pack with room, or a new one.

    Places the longest records of each window first; packs stay open across windows. A window of 1
    keeps the order. A larger window fills packs better and plans faster, but makes the lengths in
    a pack less random. The result is not shuffled; use `Packs.reorder`.

    Args:
      lengths_R: input tokens of each record (ids minus one).
      capacity: input tokens of a pack.
      window: number of records sorted by length together.

    Returns packs whose records keep their order. Raises PackingError if a record is empty or longer
    than a pack.
    """
    lengths_R = np.asarray(lengths_R, np.int64)
    if capacity < 1:
        raise PackingError(f"capacity: expected at least 1 token; got {capacity}")
    if window < 1:
        raise PackingError(f"window: expected at least 1 record; got {window}")
    if len(lengths_R) == 0:
        return Packs.of([])
    if (bad := np.flatnonzero((lengths_R > capacity) | (lengths_R < 1))).size:
        raise PackingError(
            f"record {bad[0]}: expected 1 to {capacity} input tokens; got {lengths_R[bad[0]]} "
            f"({bad.size:,} of {len(lengths_R):,} records do not fit)"
        )
    pack_R = _best_fit(lengths_R, capacity, window)
    # A stable sort keeps the order of the records in a pack.
    starts = np.concatenate([[0], np.cumsum(np.bincount(pack_R))])
    return Packs(np.argsort(pack_R, kind="stable"), starts.astype(np.int64))


def _best_fit(lengths_R: np.ndarray, capacity: int, window: int) -> np.ndarray:
    """Returns the pack of each record. int64 [R].

    Open packs are in one stack per size of free room. The bits of an integer mark the non-empty
    stacks, so a shift and the lowest set bit find the smallest sufficient room.
    """
    pack_R = np.empty(len(lengths_R), np.int64)
    stacks: list[list[int]] = [[] for _ in range(capacity + 1)]
    rooms = 0
    packs = 0
    for start in range(0, len(lengths_R), window):
        lengths = lengths_R[start : start + window]
        order = np.argsort(-lengths, kind="stable")
        for record, length in zip((order + start).tolist(), lengths[order].tolist(), strict=True):
            if enough := rooms >> length:
                room = length + (enough & -enough).bit_length() - 1
                pack = stacks[room].pop()
                if not stacks[room]:
                    rooms ^= 1 << room
            else:
                room, pack, packs = capacity, packs, packs + 1
            pack_R[record] = pack
            if left := room - length:
                stacks[left].append(pack)
                rooms |= 1 << left
    return pack_R


# --- layout ---------------------------------------------------------------------------------------


def lay_out(
    source: TokenSource,
    packs: Sequence[np.ndarray],
    capacity: int,
    pad_id: int = 0,
    max_length: int | None = None,
) -> dict[str, np.ndarray]:
    """Lays out packs of record numbers as the rows of a batch, all [B, T] with T = capacity:

    - `tokens` int32: inputs; `pad_id` after the last record;
    - `targets` int32: the next token of the same record;
    - `loss_mask` bool: the target is a response token or its EOS;
    - `segment_ids` int32: 1, 2, ... for the records of a row, 0 on padding;
    - `positions` int32: from 0 in each record, 0 on padding;
    - `kinds` int32: 1 + the index of the record's kind in records.TRAINING_KINDS, 0 on padding.

    Cuts records on the right at `max_length` tokens (None for uncut). Raises PackingError if the
    records of a pack do not fit.
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
    # One call, so that a source on disk reads in few large requests.
    tokens = iter(source.tokens(np.concatenate([np.empty(0, np.int64), *packs])))
    for row, pack in enumerate(packs):
        start = 0
        for segment, record in enumerate(pack, start=1):
            ids = next(tokens)[:max_length]
            size = len(ids) - 1
            here = (row, slice(start, start + size))
            if start + size > capacity:
                raise PackingError(f"pack {row}: expected at most {capacity} input tokens")
            batch["tokens"][here] = ids[:-1]
            batch["targets"][here] = ids[1:]
            batch["segment_ids"][here] = segment
            batch["positions"][here] = np.arange(size)
            batch["kinds"][here] = source.kinds_R[record]
            # Input i predicts id i + 1, which is a response token from prompt_length on.
            first_loss = start + source.prompt_lengths_R[record] - 1
            batch["loss_mask"][row, first_loss : start + size] = True
            start += size
    return batch
