"""Traces a few steps with JAX's profiler, for TensorBoard's profile plugin, xprof or Perfetto."""

import contextlib
import tempfile
from collections.abc import Iterator

import jax

from data_pipeline.files import AnyPath, copy_folder, is_remote

PROFILE = "profile"
_WARM_UP = 2  # steps before the trace: the one that compiles, and one more


class StepTrace:
    """Traces `count` steps (0: none) after warm-up into WORKDIR/profile, in the first process."""

    def __init__(self, workdir: AnyPath, first: int, count: int):
        self.directory = workdir / PROFILE
        traces = count > 0 and jax.process_index() == 0
        self._begin = first + 1 + _WARM_UP if traces else None
        self._end = first + _WARM_UP + count
        self.is_tracing = False
        self._upload = contextlib.ExitStack()  # nothing to do for a local directory

    @contextlib.contextmanager
    def step(self, step: int) -> Iterator[None]:
        """Wraps the call of a step; starts the trace at the first traced step."""
        if step == self._begin:
            jax.profiler.start_trace(self._writable())
            self.is_tracing = True
        with jax.profiler.StepTraceAnnotation("train", step_num=step):
            yield

    def is_last(self, step: int) -> bool:
        """Returns whether `step` is the last traced step, after which `stop` must be called."""
        return self.is_tracing and step == self._end

    def stop(self, metrics) -> None:
        """Waits for the step of these metrics, then writes the trace."""
        if self.is_tracing:
            jax.block_until_ready(metrics)
            self.close()

    def close(self) -> None:
        """Ends and writes the trace, if one is running."""
        if self.is_tracing:
            jax.profiler.stop_trace()
            self.is_tracing = False
            self._upload.close()

    def _writable(self) -> AnyPath | str:
        """Returns the directory, or a local one that is uploaded at the end."""
        if not is_remote(self.directory):
            return self.directory
        local = self._upload.enter_context(tempfile.TemporaryDirectory())
        self._upload.callback(copy_folder, local, self.directory)
        return local
