#!/usr/bin/env bash
# Sets up .venv and runs the tests; arguments go to pytest (for the slow ones: -n 0 -m slow).
# Files of tests are spread over one process a core, eight at most; -n 0 runs them one by one, as
# the slow ones want it, which start processes of their own, hold gigabytes, or watch the clock.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
setup_environment dev
workers=(-n logical --maxprocesses=8 --dist=loadfile)
for argument in "$@"; do
  case "$argument" in
    -n* | --numprocesses*) workers=() ;;
  esac
done
exec "$environment/bin/python" -m pytest "${workers[@]}" "$@"
