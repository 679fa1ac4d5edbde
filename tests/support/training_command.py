"""Runs the training command in this process."""

from semcoder_jax.commands.train import main


def run_command(capsys, *arguments) -> tuple[int, object]:
    """Returns (exit code, output)."""
    code = main([*map(str, arguments)])
    return code, capsys.readouterr()
