"""A Cloud TPU slice that exists and stays.

    semcoder launch --pod=launch/pods/existing_slice.py --pod.name=NAME --pod.zone=ZONE \
        -- --config=configs/semcoder_6p7b.py --workdir=gs://BUCKET/RUN

Fields: launch/pod_config.py, Pod and ExistingSlice.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.way = "existing_slice"
    config.name = ml_collections.config_dict.placeholder(str)
    config.zone = ml_collections.config_dict.placeholder(str)
    config.project = ml_collections.config_dict.placeholder(str)
    config.topology = ml_collections.config_dict.placeholder(str)  # for the estimate: v5e:4x4
    config.mounts = ()
    return config
