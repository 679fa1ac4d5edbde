"""Builds on Google Cloud Dataflow. Needs the extra `dataflow`, here and in the image.

    docker build -f configs/build/Dockerfile -t REGISTRY/semcoder-build . && docker push …
    python -m data_pipeline.build --config=configs/build/dataflow.py \
        --pipeline.project=P --pipeline.region=europe-west4 \
        --pipeline.temp_location=gs://BUCKET/temp \
        --pipeline.sdk_container_image=REGISTRY/semcoder-build \
        --source=gs://BUCKET/source --output=gs://BUCKET/pyx

A worker that starts no sandbox tells why and ends the job; the VM's kernel decides which tier there
is. Never run: options are parsed by Beam's own classes (tests/builder/test_build_configs.py).
"""


def get_config() -> dict:
    return {
        "runner": "DataflowRunner",
        "pipeline": {
            "project": None,
            "region": None,
            "temp_location": None,
            "sdk_container_image": None,
            "machine_type": "n2-standard-8",
            "max_num_workers": 32,
            "experiments": "use_runner_v2",
        },
    }
