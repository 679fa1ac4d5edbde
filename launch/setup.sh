# Installs the package with an extra into .venv; other scripts source this file.
#   setup_environment EXTRA     (train; dev for the tests; "" for the core, which has no JAX)
# VENV=DIR replaces .venv; PYTHON=PROGRAM is the Python for a new environment. Installs again only
# if setup.py has changed.

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
environment="${VENV:-.venv}"

# Runs each candidate, because a program on the PATH may not work (pyenv has shims of every version).
find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  echo "error: no Python found; expected 3.11 or newer on the PATH; or set PYTHON=PROGRAM" >&2
  return 1
}

setup_environment() {
  local extra="$1" python stamp recipe duration
  cd "$repository" || return 1
  recipe="$(cksum <setup.py)"
  stamp="$environment/installed-${extra:-core}"
  if [ -x "$environment/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$recipe" ]; then
    return 0
  fi
  if [ ! -x "$environment/bin/pip" ]; then
    python="$(find_python)" || return 1
    echo "Creating $environment with $("$python" --version)"
    if ! "$python" -m venv "$environment"; then
      rm -rf "$environment"
      echo "error: $python cannot create a virtual environment; expected its venv module" \
        "(Debian and Ubuntu: apt-get install python3-venv)" >&2
      return 1
    fi
  fi
  duration="one to two minutes"
  [ "$extra" = "" ] && duration="half a minute"
  [ "$extra" = dev ] && duration="about 3 minutes on a quiet machine, 7 on a busy one"
  echo "Installing semcoder-jax${extra:+[$extra]} ($duration)"
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
    -e ".${extra:+[$extra]}" || return 1
  echo "$recipe" >"$stamp"
}
