# Finds a Python and installs the versions of launch/pins.txt into .venv.
#   bash launch/environment.sh find       prints the Python; needs no file of the checkout
#   bash launch/environment.sh install    in the checkout: makes or completes .venv
# PYTHON=PROGRAM names the Python. launch/setup.sh sources this file for find_python. TPU images
# bring Python 3.10 (Ubuntu 22.04), JAX needs 3.11: where no later one is, uv installs its own.

# Prints the first Python that is new enough and has the modules given as arguments. Runs each
# candidate, because a program on the PATH may not work (pyenv has shims of every version).
find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
    [ -n "$candidate" ] || continue
    if "$candidate" - "$@" >/dev/null 2>&1 <<'PROGRAM'
import importlib
import sys

if sys.version_info < (3, 11):
    sys.exit(1)
for name in sys.argv[1:]:
    importlib.import_module(name)
PROGRAM
    then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# Prints the path of uv, after installing it beside an older Python where it is missing.
find_uv() {
  local candidate
  for candidate in uv "$HOME/.local/bin/uv" "$HOME/.cargo/bin/uv"; do
    command -v "$candidate" && return
  done
  python3 -m pip install --quiet --user "uv>=0.5" >&2 && command -v "$HOME/.local/bin/uv"
}

# Prints a Python that can make a virtual environment; installs one by uv if there is none.
find_or_install_python() {
  local uv
  find_python venv ensurepip && return
  if uv="$(find_uv 2>/dev/null)" && "$uv" python install --quiet 3.13 >&2; then
    "$uv" python find 3.13 && return
  fi
  echo "error: $(hostname): no Python 3.11 or newer that can make a virtual environment, and uv" \
    "cannot install one; install either (https://docs.astral.sh/uv) or set PYTHON=PROGRAM" >&2
  return 1
}

# Makes .venv in this folder, or completes it, unless it holds these versions already.
install_environment() {
  local environment=".venv" python recipe stamp
  stamp="$environment/installed-pins"
  recipe="$(cat launch/pins.txt setup.py | cksum)"
  if [ -x "$environment/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$recipe" ]; then
    return 0
  fi
  if [ ! -x "$environment/bin/pip" ]; then
    python="$(find_or_install_python)" || return 1
    echo "Creating $environment with $("$python" --version)"
    "$python" -m venv "$environment" || { rm -rf "$environment" && return 1; }
  fi
  local pip=("$environment/bin/python" -m pip --disable-pip-version-check --quiet)
  "${pip[@]}" install --requirement launch/pins.txt || return 1
  "${pip[@]}" install --no-deps --no-build-isolation --editable . || return 1
  "${pip[@]}" check || return 1
  echo "$recipe" >"$stamp"
}

# Sourced, it only defines the functions; `bash -c TEXT` has no BASH_SOURCE.
if [ "${BASH_SOURCE[0]:-$0}" = "$0" ]; then
  set -euo pipefail
  case "${1:-}" in
    find) find_or_install_python ;;
    install) install_environment ;;
    *) echo "error: expected find or install" >&2 && exit 2 ;;
  esac
fi
