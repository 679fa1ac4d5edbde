"""Runs one of the stand-in programs: program.py NAME WORDS…; $FAKE_CLOUD is the cloud's folder."""

import importlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.support.fake_cloud.state import Refusal, State


def main() -> int:
    name, *words = sys.argv[1:]
    state = State(Path(os.environ["FAKE_CLOUD"]))
    state.record([name, *words])
    try:
        return importlib.import_module(f"tests.support.fake_cloud.{name}").main(words, state)
    except Refusal as refusal:
        print(refusal.text, file=sys.stderr)
        return refusal.status


if __name__ == "__main__":
    sys.exit(main())
