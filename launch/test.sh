#!/usr/bin/env bash
# Sets up .venv and runs the tests; arguments go to pytest (for the slow ones: -m slow).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
setup_environment dev
exec .venv/bin/python -m pytest "$@"
