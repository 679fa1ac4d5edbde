"""Slices of a GKE cluster, by a workload of xpk; the cluster exists and stays.

    semcoder launch --pod=launch/pods/gke_xpk.py --pod.cluster=CLUSTER --pod.zone=ZONE \
        --pod.image=IMAGE -- --config=configs/semcoder_6p7b.py --workdir=gs://BUCKET/RUN

IMAGE has the environment: docs/launching.md. Two slices joined by the data-center network:
--pod.slices=2. Fields: launch/pod_config.py, Pod and GkeXpk.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.way = "gke_xpk"
    config.name = "semcoder"
    config.cluster = ml_collections.config_dict.placeholder(str)
    config.zone = ml_collections.config_dict.placeholder(str)
    config.project = ml_collections.config_dict.placeholder(str)  # by default gcloud's
    config.image = ml_collections.config_dict.placeholder(str)
    config.topology = "v5e:4x4"
    config.slices = 1
    config.priority = "medium"
    config.create_cluster = False
    config.max_restarts = 10
    config.wait_hours = 24.0
    return config
