#!/usr/bin/env bash
# Sets up .venv and runs the tests; passes arguments to pytest (slow tests: -n 0 -m slow).
# Distributes test files over one process per core, at most eight. Exclusive tests need -n 0, because
# they measure time, fill memory or take all cores; all of them are slow. The other slow tests may
# be distributed too: -m "slow and not exclusive".
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
setup_environment dev
# Each worker and each command that tests start would compile our modules and the tests again:
# 20 s of CPU time a worker.
unset PYTHONDONTWRITEBYTECODE
# In the order of their names: by number of tests, a file of few long ones would come last.
workers=(-n logical --maxprocesses=8 --dist=loadfile --no-loadscope-reorder)
for argument in "$@"; do
  case "$argument" in
    -n* | --numprocesses*) workers=() ;;
  esac
done
exec "$environment/bin/python" -m pytest "${workers[@]}" "$@"
