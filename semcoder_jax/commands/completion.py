"""Offers a shell the flags of commands that take --config=FILE and --config.a.b=VALUE.

argcomplete asks an argparse parser; these commands read their flags with absl and ml_collections,
so a parser is made of the same tables of flags. Loads no JAX: a shell waits for the answer.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence

from data_pipeline.terminal.command_line import COMPLETION_VARIABLE, CommandParser
from semcoder_jax import config

_SECTIONS = {
    "model": config.DecoderConfig,
    "initialization": config.InitializationConfig,
    "compute": config.Compute,
    "data": config.DataConfig,
    "optimizer": config.OptimizerConfig,
    "train": config.TrainConfig,
    "lora": config.LoRAConfig,
}
_BESIDE_SECTIONS = (
    "seed",
    "model.architecture",
    "model.init_from",
    *(f"mesh.{axis}" for axis in config.MESH_AXES),
)


def offer(
    switches: Sequence[str],
    flags: Mapping[str, str],
    subcommands: Mapping[str, Callable[[], CommandParser]] | None = None,
) -> None:
    """Prints completions and exits if a shell asks for them; otherwise does nothing.

    Args:
      switches: flags that may stand without a value.
      flags: help text of flags with a value.
      subcommands: their parsers.
    """
    if COMPLETION_VARIABLE not in os.environ:
        return
    parser = CommandParser(prog="semcoder")
    parser.add_argument("--config", help="Config file.")
    for name in switches:
        parser.add_argument(f"--{name}", action="store_true")
    for name, text in flags.items():
        parser.add_argument(f"--{name}", help=text)
    if subcommands:
        choices = parser.add_subparsers(parser_class=CommandParser)
        for name, make_parser in subcommands.items():
            own = make_parser()
            choices.add_parser(name, parents=[own], add_help=False)
    parser.parse_args()


def run_fields() -> dict[str, str]:
    """Returns the fields of a training config as flags, with the section as help text."""
    names = [*_BESIDE_SECTIONS]
    for section, kind in _SECTIONS.items():
        names += [f"{section}.{field.name}" for field in dataclasses.fields(kind)]
    return {f"config.{name}": name.partition(".")[0] for name in names}


def reinforcement_fields() -> dict[str, str]:
    """Returns the fields of a config for learning from rewards as flags."""
    sections = {"rollouts": config.RolloutsConfig, "objective": config.ObjectiveConfig}
    names = [f"rewards.{name}" for name in config.REWARD_TERMS]
    for section, kind in sections.items():
        names += [f"{section}.{field.name}" for field in dataclasses.fields(kind)]
    return run_fields() | {f"config.{name}": name.partition(".")[0] for name in names}


def study_fields() -> dict[str, str]:
    """Returns the fields of a study's config as flags."""
    kinds = config.STUDIES.values()
    names = dict.fromkeys(field.name for kind in kinds for field in dataclasses.fields(kind))
    return run_fields() | {f"config.study.{name}": "study" for name in names}


def benchmark_fields() -> dict[str, str]:
    """Returns the fields of a benchmark's config as flags."""
    from semcoder_jax.recipes import code_recipe, limit_dates

    record = limit_dates(code_recipe("")).to_dict()
    return {f"config.{name}": "of the config" for name in config.fields.flat_record(record)}
