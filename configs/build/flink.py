"""Builds on a Flink cluster; Beam starts its job server here (Java, from Maven).

    python -m data_pipeline.build --config=configs/build/flink.py \
        --pipeline.flink_master=HOST:8081 --pipeline.environment_config=localhost:50000 \
        --source=gs://BUCKET/source --output=gs://BUCKET/pyx

environment_config is the address of a worker pool beside each task manager, see portable.py.
parallelism is the number of task slots in use. Never run on Flink: its options are parsed by
Beam's own classes, and the protocol to its workers is that of portable.py.
"""


def get_config() -> dict:
    return {
        "runner": "FlinkRunner",
        "pipeline": {
            "flink_master": None,
            "environment_type": "EXTERNAL",
            "environment_config": None,
            "parallelism": 16,
        },
    }
