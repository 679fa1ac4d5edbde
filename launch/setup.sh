# Installs the package with an extra into .venv; other scripts source this file.
#   setup_environment EXTRA     (train; dev for the tests; "" for the core, which has no JAX)
# VENV=DIR replaces .venv; PYTHON=PROGRAM is the Python for a new environment. Installs again only
# if setup.py has changed.

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
environment="${VENV:-.venv}"
source "$repository/launch/environment.sh" # find_python

setup_environment() {
  local extra="$1" python stamp recipe duration
  cd "$repository" || return 1
  recipe="$(cksum <setup.py)"
  stamp="$environment/installed-${extra:-core}"
  if [ -x "$environment/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$recipe" ]; then
    return 0
  fi
  if [ ! -x "$environment/bin/pip" ]; then
    if ! python="$(find_python)"; then
      echo "error: no Python found; expected 3.11 or newer on the PATH; or set PYTHON=PROGRAM" >&2
      return 1
    fi
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
