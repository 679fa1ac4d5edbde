"""PyX out of any Python source: sources in, a dataset of verified records and a report out.

    python -m data_pipeline.build --source=DIR_OR_PACKAGE --output=DIR

    report = build(BuildOptions(sources=("more_itertools",)), "data/pyx")
    records = pyx.load("data/pyx", "train")

`pipeline`  the build from end to end: start here
`options`   what it is asked for; `runners` where it runs
`stages`    the Beam pipelines; `dataset` the TFDS builder; `groups` what is kept between them
`rows`      the records of one function; `expectations` what a record says of runs, held to it
`recheck`   a sample of a built dataset run again, apart from the build: a command of its own
`tally`, `progress`, `report`: what people are told
"""

from data_pipeline.builder.options import BuildError, BuildOptions, TeacherOptions
from data_pipeline.builder.pipeline import build
from data_pipeline.builder.report import Report

__all__ = ["BuildError", "BuildOptions", "Report", "TeacherOptions", "build"]
