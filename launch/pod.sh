#!/usr/bin/env bash
# Another spelling of `semcoder launch`, for a checkout whose environment is not activated.
#
#   bash launch/pod.sh --tpu=NAME --zone=ZONE -- --config=FILE --workdir=gs://BUCKET/RUN
#
# Runs launch/command.py with .venv/bin/python, or with $PYTHON.
set -euo pipefail

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="${PYTHON:-$repository/.venv/bin/python}"
command -v "$python" >/dev/null || python=python3
export PYTHONPATH="$repository${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m launch.command "$@"
