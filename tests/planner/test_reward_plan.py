"""Tests plans of learning from rewards: memory and times by hand, the command's lines."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from semcoder_jax.commands import plan
from semcoder_jax.config import parse_run
from semcoder_jax.model.layer_weights import SeparateLayers
from semcoder_jax.planner import reward_search
from semcoder_jax.planner.reward_memory import Adjustable, Room, fitting_change, room_of
from semcoder_jax.planner.reward_plans import reward_plan, sections_of
from semcoder_jax.planner.reward_programs import CompiledProgram, RewardShapes, programs_of
from semcoder_jax.planner.reward_times import Rollouts, phase_of
from semcoder_jax.planner.topologies import parse
from semcoder_jax.reinforcement.loop import reinforce
from tests.support.bandit import bandit_config, pull
from tests.support.config_file import write_config_file
from tests.support.planner_stand_in import Answers
from tests.support.reward_record import reward_record

GIB = 2**30
PROGRAM = CompiledProgram(
    fits=True,
    argument_bytes=5 * GIB,
    peak_bytes=8 * GIB,
    temp_bytes=3 * GIB,
    usable_bytes=16 * GIB,
    trained_parameters=1000,
    executed_flops=1e12,
    collectives=(),
    seconds=1.0,
)
STAY = {"weights": GIB, "moments": 2 * GIB, "frozen": 0, "reference": GIB, "cache": 4 * GIB,
        "history": 0}  # fmt: skip
GIVEN = Adjustable(
    slots=8,
    tensor=2,
    most_tensor=8,
    microbatches=2,
    most_microbatches=16,
    saved_activations=0,
    adapter_bytes=None,
)

# ==== Memory


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("prefill", 2 + 1),  # moments, reference
        ("decode", 2 + 1),
        ("score", 1 + 2 + 4),  # weights, moments, cache
        ("update", 1 + 4),  # reference, cache
    ],
)
def test_what_a_program_does_not_take_lies_beside_it(name, beside):
    room = room_of(name, PROGRAM, STAY)
    assert room.beside_bytes == beside * GIB
    assert room.total_bytes == (8 + beside) * GIB
    assert room.excess_bytes == (8 + beside - 16) * GIB


def test_a_program_too_large_alone_counts_with_what_it_needs():
    large = dataclasses.replace(PROGRAM, fits=False, peak_bytes=None, needed_bytes=20 * GIB)
    assert room_of("update", large, STAY).excess_bytes == (20 + 5 - 16) * GIB
    unknown = dataclasses.replace(large, needed_bytes=None)
    assert room_of("update", unknown, STAY).excess_bytes is None


def rooms(**excess: float) -> dict[str, Room]:
    return {name: Room(int(16 * GIB + size * GIB), 0, 16 * GIB) for name, size in excess.items()}


@pytest.mark.parametrize(
    ("excess", "given", "flag"),
    [
        ({"update": -1.0, "decode": 0.0}, {}, None),
        # Microbatches come first, if the update alone lacks memory and they save enough.
        ({"update": 1.0}, {"saved_activations": GIB}, "train.accumulation_steps=16"),
        ({"update": 1.0}, {"saved_activations": GIB - 1}, "mesh.tensor=4"),
        ({"update": 1.0, "decode": 0.5}, {"saved_activations": GIB}, "mesh.tensor=4"),
        # From tensor 2 to 4 half of the cache goes, 2 of 4 GiB, to 8 three quarters.
        ({"decode": 2.0}, {}, "mesh.tensor=4"),
        ({"decode": 2.5}, {}, "mesh.tensor=8"),
        # A slot is half a GiB, and one must be left; the reference is 4 GiB.
        ({"decode": 1.0}, {"most_tensor": 2}, "rollouts.slots=6"),
        ({"decode": 1.1}, {"most_tensor": 2}, "rollouts.slots=5"),
        ({"decode": 3.5}, {"most_tensor": 2}, "rollouts.slots=1"),
        ({"decode": 3.6}, {"most_tensor": 2}, None),
        ({"decode": 3.6}, {"most_tensor": 2, "reference": 4 * GIB}, "objective.kl_weight=0"),
        # Weights, moments and reference are 4 GiB, of which adapters leave 0.4.
        ({"decode": 3.6}, {"most_tensor": 2, "adapter_bytes": int(0.4 * GIB)}, "a section lora"),
        ({"decode": 3.7}, {"most_tensor": 2, "adapter_bytes": int(0.4 * GIB)}, None),
    ],
)
def test_the_change_named_frees_what_is_lacking(excess, given, flag):
    given = dict(given)
    stay = STAY | {"reference": given.pop("reference", STAY["reference"])}
    change = fitting_change(rooms(**excess), stay, dataclasses.replace(GIVEN, **given))
    assert (change and change.flag) == flag
    assert change is None or change.saved_bytes >= max(excess.values()) * GIB


def test_no_change_is_named_where_the_lack_is_unknown():
    unknown = {"decode": Room(None, 0, GIB), "update": Room(2 * GIB, 0, GIB)}
    assert fitting_change(unknown, STAY, GIVEN) is None


def test_the_arrays_that_stay_have_their_bytes():
    """One device: 2 layers, 16 wide, of 2 heads of 8; 32 in the feed-forward part; 64 ids."""
    run = parse_run(reward_record())
    stay = RewardShapes.of(run, jax.devices()[:1]).stay_bytes()
    layer = 4 * 16 * 16 + 3 * 16 * 32 + 2 * 16
    parameters = 2 * layer + 2 * 64 * 16 + 16
    assert stay["weights"] == stay["reference"] == 4 * parameters
    assert 8 * parameters <= stay["moments"] <= 8 * parameters + 16  # and counters
    assert stay["frozen"] == 0
    # 4 slots of 64 positions: a page of 64 each, another one, and page 0; keys and values.
    assert stay["cache"] == 2 * 2 * (1 + 4 * 2) * 64 * 2 * 8 * 4
    assert RewardShapes.of(parse_run(reward_record(objective__kl_weight=0.0)),
                           jax.devices()[:1]).stay_bytes()["reference"] == 0  # fmt: skip


# ==== The programs are those of a session


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_once", "one_device")
def test_a_session_calls_the_planned_programs_with_arrays_of_these_shapes(
    data, tmp_path, monkeypatch
):
    """Notes the arrays of each call while a run makes a step."""
    called = {}

    def noted(name: str, function, first: int, count: int):
        def call(*arguments, **options):
            called[name] = _forms(arguments[first : first + count])
            return function(*arguments, **options)

        return call

    def noted_maker(name: str, make, count: int):
        return lambda *arguments: noted(name, make(*arguments), 0, count)

    from semcoder_jax.inference import batch
    from semcoder_jax.reinforcement import session

    monkeypatch.setattr(batch, "read_piece", noted("prefill", batch.read_piece, 1, 4))
    monkeypatch.setattr(batch, "decode", noted("decode", batch.decode, 1, 6))
    monkeypatch.setattr(session, "make_logprobs", noted_maker("score", session.make_logprobs, 2))
    make = noted_maker("update", session.make_train_step, 3)
    monkeypatch.setattr(session, "make_train_step", make)
    config = bandit_config(
        data, steps=1, model={"vocab_size": 300}, objective={"kl_weight": 0.1},
        rollouts={"slots": 8}, train={"accumulation_steps": 2},
    )  # fmt: skip
    reinforce(config, tmp_path, judge=pull)
    run = parse_run(config)
    shapes = RewardShapes.of(run, jax.devices()[:1])
    assert set(called) == set(programs_of(run))
    for name, given in called.items():
        _, arrays = shapes.trace(name)
        planned = _forms(arrays)
        if name == "prefill":  # pieces may be smaller
            assert given[:2] == planned and given[3][0] == (1, 32)
        else:
            assert given[: len(planned)] == planned, name


def _forms(arrays):
    """Returns shapes and dtypes; layers that lie apart, as on a CPU, count as the stack of them."""
    return jax.tree.map(_form, arrays, is_leaf=lambda node: isinstance(node, SeparateLayers))


def _form(array) -> tuple:
    if isinstance(array, SeparateLayers):
        [form] = {_form(layer) for layer in array.layers}
        return (len(array.layers), *form[0]), form[1]
    return tuple(np.shape(array)), str(array.dtype)


# ==== Times


def test_times_by_hand():
    """6.7B on v5e:4x4, its heads over 16 devices: 64 of 128 answers at a time."""
    run = parse_run(
        reward_record(data__sequence_length=2048, data__global_batch_size=128)
        | {
            "model": {"architecture": "6.7b"},
            "mesh": {"fsdp": 1, "tensor": 16},
            "compute": {"dtype": "bfloat16"},
            "rollouts": {"max_new_tokens": 1024, "group_size": 8, "slots": 64},
        }
    )
    place, sizes = parse("v5e:4x4"), Rollouts.of(run, 64)
    assert (sizes.prompts, sizes.prompt_tokens, sizes.waves) == (16, 1025, 2)
    matrices = 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    output = 4096 * 32256
    # A chunk: 32 times all weights in bfloat16, and keys and values of 64 rows of 1,537 tokens.
    moved = 32 * (2 * (matrices + output) + 64 * 1537 * 2 * 32 * 4096 * 2) / 16
    decoding = phase_of("decode", run, place, PROGRAM, sizes)
    assert decoding.roofline.memory == pytest.approx(moved / 819e9)
    flops = 32 * 64 * (2 * (matrices + output) + 1537 * 4 * 32 * 4096) / 16
    assert decoding.roofline.compute == pytest.approx(flops / 197e12)
    assert decoding.runs == 2 * 1024 / 32
    assert decoding.seconds == pytest.approx(64 * moved / 819e9)
    # A prompt of 1,024 tokens to read is two pieces of 512.
    reading = phase_of("prefill", run, place, PROGRAM, sizes)
    assert reading.runs == 16 * 2
    flops = 512 * (2 * matrices + 1025 / 2 * 4 * 32 * 4096) / 16
    assert reading.roofline.compute == pytest.approx(flops / 197e12)
    # The update runs once a pass; 1e12 FLOPs over 16 chips.
    update = phase_of("update", run, place, PROGRAM, sizes)
    assert update.runs == 2
    assert update.roofline.compute == pytest.approx(1e12 / 16 / 197e12)


def test_the_time_of_a_step_is_the_sum_of_its_phases():
    run = parse_run(reward_record())
    programs = dict.fromkeys(programs_of(run), PROGRAM)
    found = reward_plan(run, parse("v5e:4x4"), programs, STAY)
    assert list(found.phases) == ["prefill", "decode", "score", "update"]
    seconds = sum(phase.runs * phase.roofline.step_seconds for phase in found.phases.values())
    assert found.step_seconds == pytest.approx(seconds)
    assert found.hours == pytest.approx(100 * seconds / 3600)


# ==== The command


ANSWERS = f"""
    import json, sys
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(question), file=open("asked.jsonl", "a"))
        answer = {STAY!r}
        if "program" in question:
            answer = {dataclasses.asdict(PROGRAM)!r}
            steps = question["run"]["train"]["accumulation_steps"]
            answer["peak_bytes"] += {GIB} * (steps if question["program"] == "update" else 1)
        print(json.dumps({{"answer": answer}}), flush=True)
"""


@pytest.fixture
def command(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reward_search, "Compiler", lambda **_: Answers(tmp_path, ANSWERS))

    def run(*flags: str, **changes) -> int:
        config = write_config_file(tmp_path, reward_record(**changes))
        return plan.main([f"--config={config}", *flags])

    return run


def asked(folder) -> list[str]:
    lines = (folder / "asked.jsonl").read_text().splitlines()
    return [json.loads(line).get("program", "arrays") for line in lines]


def test_the_command_prints_programs_memory_and_times(command, tmp_path, capsys):
    assert command("--topology=v5e:4x4") == 0
    out = capsys.readouterr().out
    # With two microbatches 10 GiB of its own and 5 beside; the scoring 9 and 7.
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert rows["update"][3:7] == ["10.00", "5.00", "15.00", "16.00"]
    assert rows["score"][3:7] == ["9.00", "7.00", "16.00", "16.00"]
    assert "fits: yes; score needs most, 16.00 GiB of 16.00 GiB, 0.00 GiB to spare" in out
    assert asked(tmp_path) == ["prefill", "decode", "score", "update", "arrays"]
    # Another number of microbatches is another scoring and update, and nothing else.
    assert command("--topology=v5e:4x4", train__accumulation_steps=1) == 0
    assert asked(tmp_path)[5:] == ["score", "update", "arrays"]
    capsys.readouterr()
    assert command("--topology=v5e:4x4", "--json") == 0
    captured = capsys.readouterr()
    [row] = json.loads(captured.out)
    assert row["fits"] and row["programs"]["update"]["total_bytes"] == 15 * GIB
    assert captured.err == ""  # all of it was known


def test_what_does_not_fit_is_one_line_with_what_would(command, capsys):
    # 12 GiB of its own: 1 too much. Heads can be split over two devices, which frees half a cache.
    changes = {"train__accumulation_steps": 4, "data__global_batch_size": 64}
    assert command("--topology=v5e:4x4", **changes) == 1
    assert (
        "fits: no: update needs 17.00 GiB of 16.00 GiB, 1.00 GiB too much; "
        "--config.mesh.tensor=2 would do: only tensor splits the cache, 4.00 GiB a device"
    ) in capsys.readouterr().out


def test_several_slices_are_a_table(command, capsys):
    assert command("--topology=v5e:4x4,v5e:2x4") == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:6] for row in table[1:3]] == [
        ["v5e:4x4", "16", "yes", "16.00", "16.00", "score"],
        ["v5e:2x4", "8", "yes", "16.00", "16.00", "score"],
    ]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--within=3"], "--within"),
        (["--topology=v5e:4x4", "--search", "--write=new.py"], "--write"),
        (["--topology=v5e:4x4", "--steps=5"], "the config has train.num_steps 100"),
        (["--topology=v5e:8x8"], "which the 64 batch shards"),
    ],
)
def test_mistakes_are_one_line(flags, said, command, capsys):
    assert command(*flags) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and said in captured.err


def test_a_program_is_compiled_again_only_if_its_sections_change():
    run = parse_run(reward_record())
    objective = parse_run(reward_record(objective__clip_high=0.3))
    slots = parse_run(reward_record(rollouts__slots=8))
    remat = parse_run(reward_record(compute__remat="dots_saveable"))
    for other, changed in ((objective, {"update"}), (slots, {"prefill", "decode"}),
                           (remat, {"score", "update"})):  # fmt: skip
        assert {
            name for name in programs_of(run) if sections_of(name, other) != sections_of(name, run)
        } == changed


# ==== The search

SEARCHED = f"""
    import json, sys
    GIB = {GIB}
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(question), file=open("asked.jsonl", "a"))
        run = question["run"]
        mesh, batch = run["mesh"], run["data"]["global_batch_size"]
        rows = batch / run["train"]["accumulation_steps"] / (mesh["data"] * mesh["fsdp"])
        cache = run["rollouts"]["slots"] * GIB / mesh["tensor"]
        sampling = (SIZE + 1) * GIB + cache
        own = {{"prefill": sampling, "decode": sampling, "update": (SIZE + 4 + rows) * GIB}}
        answer = {{"weights": SIZE * GIB, "moments": 2 * GIB, "frozen": 0, "reference": 0,
                   "history": 0, "cache": cache}}
        if "program" in question:
            answer = {dataclasses.asdict(PROGRAM)!r}
            answer["peak_bytes"] = own[question["program"]]
        print(json.dumps({{"answer": answer}}), flush=True)
"""


@pytest.fixture
def search(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(size: int, *flags: str) -> int:
        answers = SEARCHED.replace("SIZE", str(size))
        monkeypatch.setattr(reward_search, "Compiler", lambda **_: Answers(tmp_path, answers))
        record = reward_record(objective__kl_weight=0.0, compute__remat="nothing_saveable")
        record["model"] = {"architecture": "6.7b"}
        config = write_config_file(tmp_path, record)
        return plan.main([f"--config={config}", "--topology=v5e:4x4", "--search", *flags])

    return run


def test_the_search_splits_the_cache_and_takes_as_many_answers_as_fit(search, tmp_path, capsys):
    """16 GiB. Four devices of tensor hold 32 answers in 8 GiB, so that one wave is enough; more
    devices would exchange more. Beside them the update has 8 GiB: 5, and 1 for each row."""
    assert search(1) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == (
        "v5e:4x4: --config.mesh.data=1 --config.mesh.fsdp=4 --config.mesh.tensor=4 "
        "--config.train.accumulation_steps=8 --config.compute.remat=nothing_saveable "
        "--config.rollouts.slots=32"
    )
    assert "fits: yes; update needs most, 14.00 GiB of 16.00 GiB" in out
    # Two updates of that mesh are compiled. Others are slower even at their best.
    assert asked(tmp_path).count("update") == 2


def test_a_search_in_vain_says_what_is_lacking(search, capsys):
    assert search(20, "--json") == 1
    [row] = json.loads(capsys.readouterr().out)
    assert not row["fits"] and row["setting"]["mesh"] == [1, 1, 16]
    assert row["rollouts"]["slots"] == 1
