"""Cloud TPU slices as a queued resource: requested, waited for, and deleted at the end.

    semcoder launch --pod=launch/pods/queued_resource.py --pod.zone=ZONE --pod.spot=True \
        -- --config=configs/semcoder_6p7b.py --workdir=gs://BUCKET/RUN

Two slices joined by the data-center network: --pod.slices=2. Fields: launch/pod_config.py, Pod and
QueuedResource.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.way = "queued_resource"
    config.name = "semcoder"
    config.zone = ml_collections.config_dict.placeholder(str)
    config.project = ml_collections.config_dict.placeholder(str)  # by default gcloud's
    config.topology = "v5e:4x4"
    config.slices = 1
    config.spot = False
    config.reserved = False
    config.mounts = ()  # folders of shared storage on every worker
    config.max_restarts = 10
    config.wait_hours = 24.0
    return config
