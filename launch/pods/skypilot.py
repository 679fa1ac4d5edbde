"""One Cloud TPU slice, by a managed job of SkyPilot, which finds it and replaces it.

    semcoder launch --pod=launch/pods/skypilot.py --pod.spot=True \
        -- --config=configs/semcoder_6p7b.py --workdir=gs://BUCKET/RUN

Fields: launch/pod_config.py, Pod and SkyPilot.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.way = "skypilot"
    config.name = "semcoder"
    config.topology = "v5e:4x4"
    config.zones = ()  # by default everywhere
    config.spot = False
    config.on_demand_too = False
    config.max_restarts = 10
    return config
