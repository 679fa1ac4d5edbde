"""Defines the `study` section of a config: which study runs, and how large it is."""

import dataclasses
import math
import typing
from collections.abc import Mapping
from pathlib import Path

from semcoder_jax.config.fields import flat_record, parse_section, plain_record, suggest_name
from semcoder_jax.config.paths import STUDY_PATHS
from semcoder_jax.config.run import RunConfig, is_harmless, parse_run
from semcoder_jax.config.sections import ConfigError

REWARD_ARMS = ("answers", "answers_and_steps", "steps")
_MOST = 1_000_000  # of everything that is counted
# A run may go on with others, but a study's models must be trained and measured alike.
_BINDING = ("compute.dtype", "train.eval_batches")
_SET_BY_STUDY = ("seed",)  # the study gives each of its runs its own


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """What all studies have: their name, and the number of seeds that each arm is trained with."""

    name: str
    seeds: int = 3

    def __post_init__(self):
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if hints[field.name] is int and not 1 <= value <= _MOST:
                bound = "at least 1" if value < 1 else f"at most {_MOST:,}"
                raise ValueError(f"study.{field.name} is {value}, expected {bound}")

    def _check_positive(self, name: str) -> None:
        value = getattr(self, name)
        if not 0 < value < math.inf:
            raise ValueError(f"study.{name} is {value}, expected a number above 0")

    def _check_distinct(self, name: str) -> None:
        """Raises ValueError unless a tuple holds strings, at least one and none twice."""
        values = getattr(self, name)
        if not values or not all(isinstance(each, str) for each in values):
            raise ValueError(f"study.{name} is {list(values)}, expected names")
        if len(set(values)) < len(values):
            raise ValueError(f"study.{name} is {list(values)}, expected different names")

    def _check_part(self, name: str, whole: str) -> None:
        if getattr(self, name) > getattr(self, whole):
            raise ValueError(
                f"study.{name} is {getattr(self, name)}, expected at most study.{whole} "
                f"({getattr(self, whole)})"
            )


@dataclasses.dataclass(frozen=True)
class FormsStudy(StudyConfig):
    """Compares forms of a response: same functions, inputs, model and tokens seen.

    Every form in `forms` is trained on up to `functions` functions and asked about `heldout` other
    ones of each level. At most `curve_points` times in a training, the last time at its end, it is
    also asked about the first `curve_problems` of each level. Answers have at most `max_new_tokens`
    tokens; `batch_size` (rounded up as accuracy.batch_size is) are sampled together. `workers`
    processes make the data.

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

    def __post_init__(self):
        super().__post_init__()
        self._check_distinct("forms")


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
        self._check_positive("reward_learning_rate")
        self._check_distinct("arms")
        if not set(self.arms) <= set(REWARD_ARMS):
            raise ValueError(
                f"study.arms is {list(self.arms)}, expected some of {', '.join(REWARD_ARMS)}"
            )
        self._check_part("curve_problems", "problems")
        if self.group_size < 2:
            raise ValueError(
                f"study.group_size is {self.group_size}, expected at least 2: an answer's reward "
                "is compared with the others of its group"
            )
        if self.answers % self.group_size:
            raise ValueError(
                f"study.answers is {self.answers}, expected a multiple of study.group_size "
                f"({self.group_size})"
            )


@dataclasses.dataclass(frozen=True)
class RubberDuckStudy(StudyConfig):
    """Compares repairs after a failed test with plain resampling.

    A model learns from `functions` described functions for `early_steps` steps, answers
    `own_functions` of them `own_samples` times, and goes on for `train.num_steps` with its own
    wrong programs among the faults. At most `asked_models` times in that training, the last time at
    its end, it is asked about `problems` held-out functions, and again for `rounds` repairs (at
    most 5) or `resamples` new programs at `temperature`; `max_new_tokens` bounds an answer,
    `batch_size` (rounded up as accuracy.batch_size is) are sampled together. `workers`
    processes make the data.
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
        self._check_positive("temperature")
        self._check_part("own_functions", "functions")


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


def differing_study_fields(ours: Mapping, theirs: Mapping) -> dict[str, tuple]:
    """Returns the dotted names of fields whose difference changes a result, with both values.

    The study's name comes first: with another one all fields differ.

    ours, theirs: records of `parse_study`, which raises ConfigError for a bad one. A path may be
    spelled relative or absolute.
    """
    a, b = _complete_record(ours), _complete_record(theirs)
    return {
        name: (a.get(name), b.get(name))
        for name in sorted(a.keys() | b.keys(), key=lambda name: (name != "study.name", name))
        if a.get(name) != b.get(name) and _binds(name) and not _is_same_path(name, a, b)
    }


def _complete_record(record: Mapping) -> dict:
    """Returns all fields of a study and its recipe by dotted name, with their defaults."""
    study, recipe = parse_study(record)
    return flat_record(recipe.to_record() | {"study": plain_record(dataclasses.asdict(study))})


def _binds(name: str) -> bool:
    return name in _BINDING or not (
        is_harmless(name) or name in _SET_BY_STUDY or name == "study.workers"
    )


def _is_same_path(name: str, a: Mapping, b: Mapping) -> bool:
    paths = a.get(name), b.get(name)
    if name not in STUDY_PATHS or not all(isinstance(path, str) for path in paths):
        return False
    return Path(paths[0]).resolve() == Path(paths[1]).resolve()
