"""Runners: DirectRunner runs on this machine, with `--workers` processes and without Beam.

Beam's runners are given by name; `--pipeline.OPTION=VALUE` becomes Beam's `--OPTION=VALUE`. Their
workers need the sources and the output under the same paths (gs://, s3:// or a shared file system),
this package, and a working sandbox. There is a config for each:

    --config=configs/build/dataflow.py   direct.py   flink.py   portable.py   spark.py
"""

import contextlib
import difflib
import io
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from data_pipeline.builder.marked_errors import marked_line
from data_pipeline.builder.options import DIRECT_RUNNER, BuildError, BuildOptions
from data_pipeline.terminal.installation import install_command

_TEMPORARY = "semcoder-beam-"


def import_beam() -> Any:
    """Imports apache_beam. Raises BuildError if it is not installed."""
    with silent_beam():  # it warns about missing cloud clients
        try:
            import apache_beam
        except ImportError:
            raise BuildError(f"apache-beam is not installed: {install_command('beam')}") from None
    return apache_beam


def beam_options(options: BuildOptions) -> Any:
    """Returns Beam's PipelineOptions. Raises BuildError for an unknown option."""
    import_beam()
    from apache_beam.options.pipeline_options import PipelineOptions

    arguments = [f"--{argument.removeprefix('--')}" for argument in options.pipeline]
    known = PipelineOptions([]).get_all_options()
    for argument in arguments:
        name = argument.removeprefix("--").partition("=")[0]
        if name not in known and name.removeprefix("no_") not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise BuildError(f"--pipeline.{name}: not an option of Beam{hint}")
    with silent_beam(), _option_errors():
        parsed = PipelineOptions(arguments)
        parsed.get_all_options()  # parses the values
        return parsed


@contextlib.contextmanager
def _option_errors() -> Iterator[None]:
    """Raises BuildError where Beam's parser prints its usage and exits."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    except SystemExit:
        reason = said.getvalue().strip().splitlines()[-1].partition("error: ")[2]
        raise BuildError(f"--pipeline: {reason}") from None


def make_runner(options: BuildOptions) -> Any:
    """Creates the Beam runner. Raises BuildError for an unknown name."""
    import_beam()
    from apache_beam.runners.runner import create_runner

    try:
        with silent_beam():
            return create_runner(options.runner)
    except (ValueError, ImportError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise BuildError(f"--runner={options.runner}: {reason}") from None


def check_runner(options: BuildOptions) -> None:
    """Raises BuildError if Beam is needed and missing, or does not know the runner or an option."""
    if options.runner != DIRECT_RUNNER:
        _check_required(options, beam_options(options).get_all_options())
        make_runner(options)
    elif options.pipeline:
        beam_options(options)
        raise BuildError(
            f"{options.pipeline[0]}: an option of Beam, which {DIRECT_RUNNER} does not use; "
            "expected another --runner with it"
        )


def _check_required(options: BuildOptions, given: Mapping[str, Any]) -> None:
    """Raises BuildError for what Dataflow needs; Beam asks the cloud to find that out."""
    if options.runner.rpartition(".")[2].lower() not in ("dataflow", "dataflowrunner"):
        return
    for name in ("project", "region", "temp_location"):
        if not given.get(name):
            raise BuildError(f"--pipeline.{name}: missing; DataflowRunner needs it")
    try:
        from apache_beam.runners.dataflow.internal import apiclient  # noqa: F401
    except ImportError:
        raise BuildError(
            f"DataflowRunner needs more packages: {install_command('dataflow')}"
        ) from None


def run(build_pipeline: Callable[[Any], None], options: BuildOptions) -> None:
    """Runs the pipeline that `build_pipeline(root)` defines. Raises as `user_errors` does."""
    beam = import_beam()
    runner, settings = make_runner(options), beam_options(options)
    with user_errors(options), silent_beam(), _temporary_files():
        pipeline = beam.Pipeline(runner=runner, options=settings)
        build_pipeline(pipeline)
        pipeline.run().wait_until_finish()


@contextlib.contextmanager
def _temporary_files() -> Iterator[None]:
    """Gives the block a folder of its own for temporary files and removes it.

    Beam removes only some of its own, and those only if all goes well.
    """
    usual = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = usual


def remove_temporary_files() -> None:
    """Removes the temporary files of a pipeline that runs, for a process that ends at once."""
    folder = tempfile.tempdir
    if folder is not None and os.path.basename(folder).startswith(_TEMPORARY):
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def user_errors(options: BuildOptions) -> Iterator[None]:
    """Converts errors of the runner and of its workers to BuildError."""
    try:
        yield
    except Exception as error:
        if isinstance(error, BuildError):
            raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # An error in a worker arrives only as text.
        reason = marked_line(str(error)) or (lines[-1] if lines else type(error).__name__)
        raise BuildError(
            f"--runner={options.runner}: {reason}; run the same command again to continue"
        ) from error


@contextlib.contextmanager
def silent_beam() -> Iterator[None]:
    """Hides Beam's log of its own steps; errors are raised, not logged."""
    names: Sequence[str | None] = (None, "apache_beam")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
