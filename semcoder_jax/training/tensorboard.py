"""Writes scalars for TensorBoard, in the calling thread.

tensorboardX's SummaryWriter writes in a thread behind a bounded queue: when the disk is full that
thread dies, and the next writes wait for ever. Its record format and protocol are used without it.
"""

import os
import socket
import time

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

from data_pipeline.files import AnyPath, open_appended

FLUSH_SECONDS = 10.0


class ScalarWriter:
    """Appends scalars to a new event file in `folder`. Raises OSError if the disk is full.

    In an object store the file is uploaded while it grows, see files.open_appended.

    first_step: TensorBoard drops what earlier files of the folder hold from this step on.
    """

    def __init__(self, folder: AnyPath, *, first_step: int):
        started = time.time()
        self._next_flush = 0.0
        name = f"events.out.tfevents.{started:.6f}.{socket.gethostname()}.{os.getpid()}"
        self._appended = open_appended(folder / name)
        self._records = RecordWriter(self._appended.file.name)
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def add(self, name: str, value: float, step: int) -> None:
        self._write(Event(step=step, summary=scalar(name, value)))

    def flush(self) -> None:
        """Writes the scalars to the disk, at most every FLUSH_SECONDS."""
        if time.monotonic() >= self._next_flush:
            self._records.flush()
            self._next_flush = time.monotonic() + FLUSH_SECONDS

    def close(self) -> None:
        self._records.close()
        self._appended.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
