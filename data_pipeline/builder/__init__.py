"""Builds PyX, a dataset of verified records, and a report from any Python source.

    python -m data_pipeline.build --source=DIR_OR_PACKAGE --output=DIR

    report = build(BuildOptions(sources=("more_itertools",)), "data/pyx")
    records = pyx.load("data/pyx", "train")

`pipeline`  runs the build from end to end: start here
`options`   validates the options; `runners` creates the Beam runner
`stages`    defines the Beam pipelines; `groups` stores rows between them; `dataset` writes TFDS
`rows`      makes the records of one function; `expectations` runs each record again
`recheck`   runs a sample of a built dataset again; it is a separate command
`tally`, `progress`, `report`, `page`, `charts`: counts, progress bar and report
"""

from data_pipeline.builder.options import BuildError, BuildOptions, TeacherOptions
from data_pipeline.builder.pipeline import build
from data_pipeline.builder.report import Report

__all__ = ["BuildError", "BuildOptions", "Report", "TeacherOptions", "build"]
