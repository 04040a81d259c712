"""Curves over time as an SVG file, one panel above the other, each from zero; no library, no script."""

from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _GAP = 640, 110, 60, 250, 44
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#b8a800")

# Of each curve the points: minutes, and a value.
Curves = Mapping[str, Sequence[tuple[float, float]]]


def draw(panels: Mapping[str, Curves], minutes: float) -> str:
    """One picture of all *panels*, by their titles; the time axis ends at *minutes*."""
    height = len(panels) * (_HEIGHT + _GAP) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + _RIGHT} {height}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, (title, curves) in enumerate(panels.items()):
        top = number * (_HEIGHT + _GAP) + 24
        parts += _panel(title, {name: points for name, points in curves.items() if points}, top, minutes)
    return "\n".join([*parts, "</svg>", ""])


def _panel(title: str, curves: Curves, top: int, minutes: float) -> list[str]:
    most = max((value for points in curves.values() for _, value in points), default=0) * 1.05 or 1.0
    bottom = top + _HEIGHT
    parts = [
        _text(_LEFT, top - 8, title, "start", ' font-weight="bold"'),
        f'<path d="M{_LEFT} {top}V{bottom}H{_LEFT + _WIDTH}" fill="none" stroke="#444"/>',
    ]
    for part in (0.0, 0.5, 1.0):
        y = bottom - part * _HEIGHT
        parts.append(f'<path d="M{_LEFT} {y}h{_WIDTH}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{most * part:.3g}", "end"))
        parts.append(_text(_LEFT + part * _WIDTH, bottom + 14, f"{minutes * part:.3g} min", "middle"))
    for number, (name, points) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        places = " ".join(
            f"{_LEFT + minute / minutes * _WIDTH:.1f},{bottom - value / most * _HEIGHT:.1f}"
            for minute, value in points
        )
        parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.2"/>')
        parts.append(_text(_LEFT + _WIDTH + 10, top + 8 + 14 * number, name, "start", f' fill="{colour}"'))
    return parts


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{more}>{escape(text)}</text>'
