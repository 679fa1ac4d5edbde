"""Builds on this machine, without Beam: what a build does if no config is named.

    python -m data_pipeline.build --config=configs/build/direct.py --source=DIR --output=DIR

Rehearsed: tests/builder/test_build.py.
"""


def get_config() -> dict:
    return {"runner": "DirectRunner", "workers": 2}
