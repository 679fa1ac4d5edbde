"""Builds PyX, a dataset of verified records, and a report from any Python source.

    python -m data_pipeline.build --source=DIR_OR_PACKAGE --output=DIR

    report = build(BuildOptions(sources=("more_itertools",)), "data/pyx")
    records = pyx.load("data/pyx", "train")

`pipeline`  runs the build from end to end: start here
`options`   validates the options; `full_disk` reports a full disk
`selection` chooses the functions; `held_out` splits them
`rows`      makes the records of one function; `expectations` runs each record again
`steps`     defines what a build does; `local_build` and `local` do it on this machine, with the
            processes of `row_maker`
`cluster`   does it as Beam pipelines; `runners` creates the Beam runner
`workers`   describes the machines that run programs
`groups`    stores rows between the stages; `dataset` and `shards` write TFDS
`recheck`   runs a sample of a built dataset again; it is a separate command
`tally`, `progress`, `report`, `page`, `charts`: counts, progress bar and report
"""

from data_pipeline.builder.options import BuildError, BuildOptions, TeacherOptions
from data_pipeline.builder.pipeline import build
from data_pipeline.builder.report import Report

__all__ = ["BuildError", "BuildOptions", "Report", "TeacherOptions", "build"]
