"""The training command, run in this process."""

from semcoder_jax.commands.train import main


def run_command(capsys, *arguments) -> tuple[int, object]:
    """(exit code, what it wrote)."""
    code = main([*map(str, arguments)])
    return code, capsys.readouterr()
