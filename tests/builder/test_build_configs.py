"""Tests the configs of runners: Beam's own option classes read what they hold."""

from pathlib import Path

import pytest

pytest.importorskip("apache_beam", reason="needs the extra 'beam'")

from apache_beam.options import pipeline_options as beam_classes

from data_pipeline.builder import runners
from data_pipeline.builder.options import BuildError
from data_pipeline.commands.build import main, parse_arguments

CONFIGS = Path(__file__).parents[2] / "configs" / "build"
NEEDED = {
    "direct": [],
    "portable": ["job_endpoint=h:8099", "environment_config=localhost:50000"],
    "dataflow": [
        "project=p",
        "region=europe-west4",
        "temp_location=gs://b/t",
        "sdk_container_image=r/i",
    ],
    "flink": ["flink_master=h:8081", "environment_config=localhost:50000"],
    "spark": ["spark_master_url=spark://h:7077", "environment_config=localhost:50000"],
}
# What a class of Beam reads from a config with these options.
READ = {
    "portable": ("PortableOptions", {"job_endpoint": "h:8099", "environment_type": "EXTERNAL"}),
    "dataflow": ("GoogleCloudOptions", {"project": "p", "temp_location": "gs://b/t"}),
    "flink": ("FlinkRunnerOptions", {"flink_master": "h:8081", "parallelism": 16}),
    "spark": ("SparkRunnerOptions", {"spark_master_url": "spark://h:7077", "spark_version": "3"}),
}


def arguments(name: str, pipeline: list[str]) -> list[str]:
    flags = [f"--pipeline.{option}" for option in pipeline]
    return [f"--config=configs/build/{name}.py", "--source=s", "--output=o", *flags]


def test_every_config_is_tried():
    assert {path.stem for path in CONFIGS.glob("*.py")} == set(NEEDED)


@pytest.mark.parametrize("name", NEEDED)
def test_beam_reads_what_a_config_holds(name):
    options, _ = parse_arguments(arguments(name, NEEDED[name]))
    if name == "direct":
        assert (options.runner, options.workers, options.pipeline) == ("DirectRunner", 2, ())
        return
    assert options.runner.lower().startswith(name)
    read = runners.beam_options(options)
    kind, expected = READ[name]
    view = read.view_as(getattr(beam_classes, kind))
    assert {option: getattr(view, option) for option in expected} == expected
    runners.make_runner(options)


@pytest.mark.parametrize("name", [name for name, needed in NEEDED.items() if needed])
def test_what_a_config_needs_is_told(name, capsys):
    for missing in NEEDED[name]:
        left = [option for option in NEEDED[name] if option != missing]
        assert main(arguments(name, left)) == 2
        option = missing.partition("=")[0]
        error = capsys.readouterr().err
        assert error.startswith(f"error: --pipeline.{option}: missing")
        assert error.count("\n") == 1


def test_the_command_line_counts_more_than_the_config():
    given = [*NEEDED["flink"], "parallelism=3"]
    options, _ = parse_arguments([*arguments("flink", given), "--tier=B"])
    assert options.pipeline.count("--parallelism=3") == 1
    assert not any("16" in option for option in options.pipeline)
    assert options.tier == "B"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("x = 1\n", "AttributeError"),
        ("def get_config():\n    return 3\n", "expected a dict"),
        ("def get_config():\n    return {'pipeline': 3}\n", "pipeline: expected a dict"),
        ("def get_config():\n    return {'runer': 'X'}\n", "--runer=X"),
        ("def get_config(:\n", "SyntaxError"),
        (
            "def get_config():\n    return {'runner': 'X', 'pipeline': {'pool': 1}}\n",
            "not an option",
        ),
        (
            "def get_config():\n"
            "    return {'runner': 'FlinkRunner', 'pipeline': {'parallelism': 'many'}}\n",
            "--pipeline: argument --parallelism: invalid int value: 'many'",
        ),
        (
            "def get_config():\n    return {'runner': 'DataflowRunner'}\n",
            "--pipeline.project: missing",
        ),
    ],
)
def test_a_config_that_cannot_be_used_is_told_in_one_line(text, message, tmp_path, capsys):
    path = tmp_path / "c.py"
    if text is not None:
        path.write_text(text)
    assert main([f"--config={path}", "--source=s", f"--output={tmp_path / 'o'}"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_dataflow_without_its_packages_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "apache_beam.runners.dataflow.internal", None)
    options, _ = parse_arguments(arguments("dataflow", NEEDED["dataflow"]))
    with pytest.raises(BuildError, match="DataflowRunner needs more packages"):
        runners.check_runner(options)
