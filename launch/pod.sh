#!/usr/bin/env bash
# Starts the same training on every worker of a Cloud TPU slice (one host or a pod).
#
#   bash launch/pod.sh --tpu=NAME --zone=ZONE [--project=ID] [--directory=semcoder-jax] \
#       [--python=python3] [--dry-run] \
#       -- --config=configs/quickstart.py --workdir=/mnt/shared/run1 [--config.a.b=…]
#
# Copies the committed files of this repository to every worker, installs them there in a virtual
# environment with the tpu extra, and runs `python -m launch.worker` on all workers. The workdir
# must be on shared storage (a mounted bucket or file share). The same command continues from the
# last checkpoint. --dry-run prints the commands without running them.
set -euo pipefail

fail() {
  echo "error: $1" >&2
  exit 2
}

tpu="" zone="" project="" directory="semcoder-jax" python="python3" dry_run=false
while (($#)); do
  case "$1" in
    --tpu=*) tpu="${1#*=}" ;;
    --zone=*) zone="${1#*=}" ;;
    --project=*) project="${1#*=}" ;;
    --directory=*) directory="${1#*=}" ;;
    --python=*) python="${1#*=}" ;;
    --dry-run) dry_run=true ;;
    --) shift; break ;;
    -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) fail "unknown argument '$1'; expected --tpu, --zone, --project, --directory, --python, --dry-run, then -- and the training's arguments" ;;
  esac
  shift
done
[[ -n "$tpu" ]] || fail "--tpu=NAME is missing"
[[ -n "$zone" ]] || fail "--zone=ZONE is missing"
[[ " $*" == *" --config="* ]] || fail "after --, --config=FILE is missing"
[[ " $*" == *" --workdir="* ]] || fail "after --, --workdir=DIR is missing"
$dry_run || command -v gcloud >/dev/null || fail "gcloud is not installed; it starts commands on TPU workers"

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
where=(--zone="$zone" --worker=all)
[[ -z "$project" ]] || where+=(--project="$project")

run() {
  printf '+'
  printf ' %q' "$@"
  printf '\n'
  $dry_run || "$@"
}

on_all_workers() {
  run gcloud compute tpus tpu-vm ssh "$tpu" "${where[@]}" --command="$1"
}

archive="$(mktemp -u "${TMPDIR:-/tmp}/semcoder-jax.XXXXXX").tar.gz"
trap 'rm -f "$archive"' EXIT
quoted_directory="$(printf '%q' "$directory")"
arguments="$(printf ' %q' "$@")"

run git -C "$repository" archive --format=tar.gz --output="$archive" HEAD
run gcloud compute tpus tpu-vm scp "$archive" "$tpu:semcoder-jax.tar.gz" "${where[@]}"
on_all_workers "mkdir -p $quoted_directory && tar -xzf semcoder-jax.tar.gz -C $quoted_directory"
on_all_workers "cd $quoted_directory && { [ -x .venv/bin/python ] || $(printf '%q' "$python") -m venv .venv; } && .venv/bin/pip install --quiet --editable '.[tpu]'"
on_all_workers "cd $quoted_directory && exec .venv/bin/python -m launch.worker$arguments"
