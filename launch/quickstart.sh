#!/usr/bin/env bash
# From an empty machine to a model that says what a program does: sets up .venv, then runs
# launch/quickstart.py (about ten minutes on two cores). Run again, it goes on where it stopped.
#   bash launch/quickstart.sh [--workdir=DIR] [--config.a.b=VALUE ...]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
setup_environment ""
exec "$environment/bin/python" -m launch.quickstart "$@"
