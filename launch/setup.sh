# Sourced by the other scripts: puts the package and an extra into .venv, once.
#   setup_environment EXTRA     ("" for the core alone)
# Nothing is installed again while setup.py stays as it is.

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "error: no Python found, expected 3.11 or newer on the PATH (or name one: PYTHON=...)" >&2
  return 1
}

setup_environment() {
  local extra="$1" python stamp recipe
  cd "$repository" || return 1
  recipe="$(cksum <setup.py)"
  stamp=".venv/installed-${extra:-core}"
  if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$recipe" ]; then
    return 0
  fi
  if [ ! -x .venv/bin/pip ]; then
    python="$(find_python)" || return 1
    echo "Creating .venv with $("$python" --version)"
    if ! "$python" -m venv .venv; then
      rm -rf .venv
      echo "error: $python cannot create a virtual environment, expected its venv module" \
        "(Debian and Ubuntu: apt-get install python3-venv)" >&2
      return 1
    fi
  fi
  echo "Installing semcoder-jax${extra:+[$extra]} (one to three minutes)"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".${extra:+[$extra]}" ||
    return 1
  echo "$recipe" >"$stamp"
}
