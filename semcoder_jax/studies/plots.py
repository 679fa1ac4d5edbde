"""Draws the figures of reports as small SVG files: the same numbers give the same bytes."""

import dataclasses
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from data_pipeline.terminal.missing_packages import requires_extra

_STYLE = {
    "svg.hashsalt": "semcoder-jax",  # ids inside the file are hashes
    "svg.fonttype": "none",  # text stays text
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.markersize": 4,
}
_MARKERS = "osD^vPX*"


@dataclasses.dataclass(frozen=True)
class Series:
    """Points of one line or one group of bars, with the bounds of their intervals if there are any.

    x: numbers, or names of groups.
    """

    label: str
    x: Sequence[float | str]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclasses.dataclass(frozen=True)
class Panel:
    """One pair of axes; `y_limits` None follows the values, `log_x` spaces x by factors."""

    series: Sequence[Series]
    title: str
    x_label: str
    y_label: str
    y_limits: tuple[float, float] | None = (0.0, 1.0)
    log_x: bool = False
    bars: bool = False


def draw(panels: Sequence[Panel], *, width: float = 3.4, height: float = 2.6) -> str:
    """Returns an SVG of panels side by side under one legend; sizes in inches a panel.

    Labels that several panels share have the same colour. Raises MissingPackage without matplotlib.
    """
    labels = list(dict.fromkeys(each.label for panel in panels for each in panel.series))
    with _figure(width * len(panels), height) as figure:
        for axes, panel in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            _draw_panel(axes, panel, labels)
        _add_legend(figure, labels)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return text.getvalue()


@contextmanager
def _figure(width: float, height: float) -> Iterator:
    with requires_extra("study"):
        import matplotlib
        from matplotlib.figure import Figure
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_STYLE}):
        yield Figure(figsize=(width, height), layout="constrained")


def _draw_panel(axes, panel: Panel, labels: Sequence[str]) -> None:
    for number, each in enumerate(panel.series):
        if panel.bars:
            _draw_bars(axes, each, labels.index(each.label), number, len(panel.series))
        else:
            _draw_line(axes, each, labels.index(each.label))
    axes.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
    if panel.y_limits:
        axes.set_ylim(*panel.y_limits)
    if panel.log_x:
        axes.set_xscale("log")


def _draw_line(axes, series: Series, index: int) -> None:
    axes.plot(
        series.x,
        series.y,
        color=f"C{index % 10}",
        marker=_MARKERS[index % len(_MARKERS)],
        label=series.label,
    )
    if series.low is not None:
        axes.fill_between(series.x, series.low, series.high, color=f"C{index % 10}", alpha=0.15)


def _draw_bars(axes, series: Series, index: int, number: int, count: int) -> None:
    """Draws the bars of one series, its share of every group of `count` bars."""
    width = 0.8 / count
    places = [place + (number - (count - 1) / 2) * width for place in range(len(series.x))]
    axes.bar(places, series.y, width, color=f"C{index % 10}", label=series.label)
    if series.low is not None and series.high is not None:
        below = [y - low for y, low in zip(series.y, series.low, strict=True)]
        above = [high - y for y, high in zip(series.y, series.high, strict=True)]
        axes.errorbar(places, series.y, (below, above), fmt="none", ecolor="black", capsize=2)
    axes.set_xticks(range(len(series.x)), series.x)


def _add_legend(figure, labels: Sequence[str]) -> None:
    found = {}
    for axes in figure.axes:
        handles, names = axes.get_legend_handles_labels()
        found |= dict(zip(names, handles, strict=True))
    if len(labels) > 1:
        figure.legend(
            [found[label] for label in labels], labels, loc="outside lower center", ncols=4
        )
