#!/usr/bin/env bash
# Sets up .venv and runs launch/quickstart_stages.py: trains a small model and evaluates it (six
# minutes on two quiet cores). The same command continues a stopped run.
#   bash launch/quickstart.sh [--workdir=DIR] [--config.a.b=VALUE ...]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
setup_environment train
exec "$environment/bin/python" -m launch.quickstart "$@"
