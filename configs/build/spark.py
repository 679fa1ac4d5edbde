"""Builds on a Spark cluster; Beam starts its job server here (Java, from Maven).

    python -m data_pipeline.build --config=configs/build/spark.py \
        --pipeline.spark_master_url=spark://HOST:7077 \
        --pipeline.environment_config=localhost:50000 \
        --source=gs://BUCKET/source --output=gs://BUCKET/pyx

environment_config is the address of a worker pool beside each executor, see portable.py. Never run
on Spark: its options are parsed by Beam's own classes, and the protocol to its workers is that of
portable.py.
"""


def get_config() -> dict:
    return {
        "runner": "SparkRunner",
        "pipeline": {
            "spark_master_url": None,
            "spark_version": 3,
            "environment_type": "EXTERNAL",
            "environment_config": None,
        },
    }
