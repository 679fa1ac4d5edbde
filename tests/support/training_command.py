"""The training command, run in this process."""

from semcoder_jax.training import loop as training


def run_command(capsys, *arguments) -> tuple[int, object]:
    """(exit code, what it wrote)."""
    code = training.main(["train", *map(str, arguments)])
    return code, capsys.readouterr()
