"""Small plots as inline SVG, which a page carries with it and which take its colours."""

from collections import Counter
from html import escape

WIDTH, HEIGHT = 620, 150
_LEFT, _RIGHT, _BOTTOM, _TOP = 46, 24, 24, 12


def histogram(lengths: Counter[int], unit: str, marks: dict[str, int], bins: int = 40) -> str:
    """Records by length, in `bins` bins up to the 99.5th percentile (the last one holds the rest),
    with a dashed line at each of `marks` (label -> length)."""
    if not lengths:
        return ""
    ordered = sorted(lengths.elements())
    top = max(ordered[min(len(ordered) - 1, int(0.995 * len(ordered)))], 1)
    size = -(-top // bins)
    numbers = [0] * bins
    for length, number in lengths.items():
        numbers[min(length // size, bins - 1)] += number
    highest = max(numbers)
    plot_width, plot_height = WIDTH - _LEFT - _RIGHT, HEIGHT - _BOTTOM - _TOP
    step = plot_width / bins
    parts = []
    for i, number in enumerate(numbers):
        height = plot_height * number / highest
        upper = f"{(i + 1) * size - 1:,}" if i < bins - 1 else "more"
        parts.append(
            f'<rect x="{_LEFT + i * step + 0.5:.1f}" y="{_TOP + plot_height - height:.1f}" '
            f'width="{step - 1:.1f}" height="{height:.1f}" rx="1">'
            f"<title>{i * size:,} to {upper} {unit}: {number:,} records</title></rect>"
        )
    base = _TOP + plot_height
    for share in (0, 0.25, 0.5, 0.75, 1):
        x, value = _LEFT + plot_width * share, round(size * bins * share)
        parts.append(f'<text class="tick" x="{x:.1f}" y="{base + 15}">{value:,}</text>')
    parts.append(f'<text class="side" x="{_LEFT - 6}" y="{_TOP + 8}">{highest:,}</text>')
    parts.append(f'<text class="side" x="{_LEFT - 6}" y="{base}">0</text>')
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>')
    for label, value in marks.items():
        x = _LEFT + plot_width * min(value / (size * bins), 1)
        anchor = "end" if x > WIDTH * 0.75 else "start"
        shift = -4 if anchor == "end" else 4
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{base}"/>')
        parts.append(
            f'<text class="label" x="{x + shift:.1f}" y="{_TOP + 9}" text-anchor="{anchor}">'
            f"{escape(label)} {value:,}</text>"
        )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'


def bar(share: float) -> str:
    """A share as a bar, in a table's cell."""
    return f'<span class="bar"><i style="width:{100 * min(max(share, 0), 1):.1f}%"></i></span>'
