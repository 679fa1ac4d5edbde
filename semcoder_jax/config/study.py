"""Defines the `study` section of a config: which study runs, and how large it is."""

import dataclasses
from collections.abc import Mapping

from semcoder_jax.config.fields import parse_section, plain_record, suggest_name
from semcoder_jax.config.run import RunConfig, parse_run
from semcoder_jax.config.sections import ConfigError

REWARD_ARMS = ("answers", "answers_and_steps", "steps")


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """What all studies have: their name, and the number of seeds that each arm is trained with."""

    name: str
    seeds: int = 3

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and value < 1:
                raise ValueError(f"study.{field.name} is {value}, expected at least 1")


@dataclasses.dataclass(frozen=True)
class FormsStudy(StudyConfig):
    """Compares forms of a response: same functions, inputs, model and tokens seen.

    Every form in `forms` is trained on up to `functions` functions and asked about `heldout` other
    ones of each level. `curve_points` times in a training, the last time at its end, it is also
    asked about the first `curve_problems` of each level. Answers have at most `max_new_tokens`
    tokens; `batch_size` are sampled together. `workers` processes make the data.

    The functions are synthetic if the recipe's `data.source` is; with "jsonl" they are real ones,
    trained on those of `data.train` and asked about those of `data.eval`. `cruxeval`, CRUXEval's
    file, then adds a level.
    """

    forms: tuple[str, ...] = (
        "direct",
        "scratchpad",
        "next_trace",
        "monologue",
        "backward_direct",
        "backward_monologue",
    )
    functions: int = 12_000
    heldout: int = 120
    curve_points: int = 4
    curve_problems: int = 50
    max_new_tokens: int = 384
    batch_size: int = 128
    workers: int = 2
    cruxeval: str | None = None


@dataclasses.dataclass(frozen=True)
class RewardsStudy(StudyConfig):
    """Compares learning from rewards with more supervised steps at equal CPU time.

    A base learns `functions` for `base_steps` of the recipe's steps. From it, each of `arms` learns
    `new_functions` by `updates` updates, each on `answers` sampled answers to groups of
    `group_size`; the supervised arm learns the same functions for as long. All answer `problems`
    held-out functions; `curve_problems` of them at `points` - 1 earlier points of their learning.
    """

    functions: int = 20_000
    base_steps: int = 1000
    new_functions: int = 6000
    arms: tuple[str, ...] = REWARD_ARMS[:2]
    updates: int = 50
    answers: int = 64
    group_size: int = 8
    max_new_tokens: int = 128
    reward_learning_rate: float = 6e-4
    problems: int = 400
    curve_problems: int = 200
    points: int = 3

    def __post_init__(self):
        super().__post_init__()
        if not self.reward_learning_rate > 0:
            raise ValueError(
                f"study.reward_learning_rate is {self.reward_learning_rate}, expected more than 0"
            )
        if not self.arms or not set(self.arms) <= set(REWARD_ARMS):
            raise ValueError(
                f"study.arms is {list(self.arms)}, expected some of {', '.join(REWARD_ARMS)}"
            )
        if self.curve_problems > self.problems:
            raise ValueError(
                f"study.curve_problems is {self.curve_problems}, expected at most study.problems "
                f"({self.problems})"
            )


@dataclasses.dataclass(frozen=True)
class RubberDuckStudy(StudyConfig):
    """Compares repairs after a failed test with plain resampling.

    A model learns from `functions` described functions for `early_steps` steps, answers
    `own_functions` of them `own_samples` times, and goes on for `train.num_steps` with its own
    wrong programs among the faults. `asked_models` times in that training, the last time at its
    end, it is asked about `problems` held-out functions, and again for `rounds` repairs (at most 5)
    or `resamples` new programs at `temperature`; `max_new_tokens` bounds an answer, `batch_size`
    are sampled together. `workers` processes make the data.
    """

    functions: int = 10_000
    problems: int = 240
    early_steps: int = 400
    own_functions: int = 1500
    own_samples: int = 2
    asked_models: int = 1
    rounds: int = 5
    resamples: int = 24
    temperature: float = 0.6
    max_new_tokens: int = 400
    batch_size: int = 128
    workers: int = 2

    def __post_init__(self):
        super().__post_init__()
        if self.rounds > 5:
            raise ValueError(f"study.rounds is {self.rounds}, expected 1 to 5")
        if not self.temperature > 0:
            raise ValueError(f"study.temperature is {self.temperature}, expected more than 0")


STUDIES: Mapping[str, type[StudyConfig]] = {
    "forms": FormsStudy,
    "rewards": RewardsStudy,
    "rubber_duck": RubberDuckStudy,
}


def parse_study(record: Mapping) -> tuple[StudyConfig, RunConfig]:
    """Returns the `study` section and the training recipe beside it. Raises ConfigError.

    The study sets the recipe's seed, data and workdir for each of its runs.
    """
    record = plain_record(record)
    section = record.pop("study", None)
    if not isinstance(section, dict):
        raise ConfigError("config: section study is missing")
    name = section.get("name")
    if name not in STUDIES:
        raise ConfigError(f"config: study.name {name!r}: {suggest_name(str(name), STUDIES)}")
    return parse_section(STUDIES[name], section, "study"), parse_run(record)
