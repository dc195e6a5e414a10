"""A report as one HTML page: no scripts, nothing loaded from elsewhere, and every text escaped."""

from collections.abc import Sequence
from html import escape

from services.notifier.domain.reports import Bar, Cell, Chart, Figure, Paper, Table, Tone
from services.notifier.domain.text import instant

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1f2328;max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}.about{color:#59636e;margin:.2rem 0 1rem}
.figures{display:flex;gap:1rem;flex-wrap:wrap}.figure{border:1px solid #d1d9e0;border-radius:6px;padding:.6rem 1rem;min-width:8rem}
.figure b{display:block;font-size:1.6rem}.good b,td.good{color:#1a7f37}.warning b,td.warning{color:#9a6700}.bad b,td.bad{color:#cf222e}
table{border-collapse:collapse;width:100%;font-size:13px}th,td{text-align:left;vertical-align:top;padding:.3rem .5rem;
border-bottom:1px solid #d1d9e0;overflow-wrap:anywhere}th{background:#f6f8fa}.number{text-align:right}
svg{width:100%;height:auto}.legend span{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 1em}
@media print{body{margin:0}thead{display:table-header-group}tr{break-inside:avoid}}
"""
_FIRST, _SECOND = "#bc4c00", "#0969da"
_WIDTH, _HEIGHT, _FOOT = 900, 180, 20


def page(paper: Paper) -> bytes:
    """Return the page."""
    parts = (
        f"<h1>{escape(paper.title)}</h1>",
        f'<p class="about">{escape(paper.about)} · made {instant(paper.made_at)} for {escape(paper.made_for)}</p>',
        f"<p>{escape(paper.summary)}</p>",
        f'<div class="figures">{"".join(map(_figure, paper.figures))}</div>',
        *(_chart(chart) for chart in paper.charts if chart.bars),
        *map(_table, paper.tables),
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(paper.title)}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    ).encode()


def _figure(figure: Figure) -> str:
    return f'<div class="figure {figure.tone}"><b>{escape(figure.value)}</b>{escape(figure.label)}</div>'


def _table(table: Table) -> str:
    heads = "".join(
        f'<th class="{"number" if column.is_number else ""}" style="width:{column.width:.0%}">{escape(column.title)}</th>'
        for column in table.columns
    )
    numbers = [column.is_number for column in table.columns]
    rows = "".join(f"<tr>{_cells(row, numbers)}</tr>" for row in table.rows)
    body = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    note = f"<p>{escape(table.note if rows else table.nothing)}</p>"
    return f"<h2>{escape(table.title)}</h2>{body}{note if table.note or not rows else ''}"


def _cells(row: Sequence[Cell], numbers: Sequence[bool]) -> str:
    return "".join(
        f'<td class="{cell.tone if cell.tone is not Tone.PLAIN else ""}{" number" if is_number else ""}">{escape(cell.text)}</td>'
        for cell, is_number in zip(row, numbers, strict=True)
    )


def _chart(chart: Chart) -> str:
    most = max(max((bar.value + bar.second for bar in chart.bars), default=0), 1)
    step = _WIDTH / len(chart.bars)
    bars = "".join(
        _bar(bar, at=number * step, width=step, most=most) for number, bar in enumerate(chart.bars)
    )
    colours = (_FIRST, _SECOND) if chart.legend else ()
    keys = "".join(
        f'<span style="background:{colour}"></span>{escape(name)}'
        for colour, name in zip(colours, chart.legend, strict=True)
    )
    legend = f'<div class="legend">{keys}</div>' if keys else ""
    return (
        f'<h2>{escape(chart.title)}</h2>{legend}<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(chart.title)}" font-size="11" font-family="sans-serif">{bars}</svg>'
    )


def _bar(bar: Bar, *, at: float, width: float, most: int) -> str:
    scale = (_HEIGHT - 2 * _FOOT) / most
    first, second = bar.value * scale, bar.second * scale
    base, inner, middle = _HEIGHT - _FOOT, width * 0.7, at + width / 2
    left = f"{at + width * 0.15:.1f}"
    return (
        f'<rect x="{left}" y="{base - first:.1f}" width="{inner:.1f}" height="{first:.1f}" fill="{_FIRST}"/>'
        f'<rect x="{left}" y="{base - first - second:.1f}" width="{inner:.1f}" height="{second:.1f}" fill="{_SECOND}"/>'
        f'<text x="{middle:.1f}" y="{base - first - second - 4:.1f}" text-anchor="middle">{bar.value + bar.second}</text>'
        f'<text x="{middle:.1f}" y="{_HEIGHT - 5}" text-anchor="middle">{escape(bar.label)}</text>'
    )
