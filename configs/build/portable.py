"""Builds on any cluster that has a Beam job server, with workers in a pool beside it.

    python -m data_pipeline.build --config=configs/build/portable.py \
        --pipeline.job_endpoint=HOST:8099 --pipeline.environment_config=localhost:50000 \
        --source=gs://BUCKET/source --output=gs://BUCKET/pyx

The job server is what a cluster's runner offers (Flink's, Spark's). environment_config is the
address, as seen from a task manager, of `python -m apache_beam.runners.worker.worker_pool_main
--service_port=50000`, which starts worker processes; it runs beside each task manager in an
environment with this package (configs/build/Dockerfile).
Rehearsed: tests/builder/test_cluster.py, with two worker processes and an object store.
"""


def get_config() -> dict:
    return {
        "runner": "PortableRunner",
        "pipeline": {
            "job_endpoint": None,
            "environment_type": "EXTERNAL",
            "environment_config": None,
        },
    }
