"""A report as PDF, to be printed or filed: A4 across, with a heading, figures, charts and tables that go on over pages."""

import io
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from reportlab.graphics.charts.barcharts import VerticalBarChart
from reportlab.graphics.charts.legends import Legend
from reportlab.graphics.shapes import Drawing
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    CondPageBreak,
    Flowable,
    KeepTogether,
    LongTable,
    Paragraph,
    SimpleDocTemplate,
    TableStyle,
)
from reportlab.platypus import Table as Grid

from services.notifier.connectors.papers.fonts import fonts, is_whole, runs
from services.notifier.domain.reports import Cell, Chart, Figure, Paper, Table, Tone
from services.notifier.domain.text import instant

_PAGE = landscape(A4)
_MARGIN = 15 * mm
_PADDING = 6
"""What the library leaves within a page's margins."""
_LINE = _PAGE[0] - 2 * _MARGIN
_FONT, _BOLD = fonts()[0].name, fonts(is_bold=True)[0].name
_INK, _DIM, _RULE, _SHADE = (colors.HexColor(each) for each in ("#1f2328", "#59636e", "#d1d9e0", "#f6f8fa"))
_TONES = {
    Tone.PLAIN: _INK,
    Tone.GOOD: colors.HexColor("#1a7f37"),
    Tone.WARNING: colors.HexColor("#9a6700"),
    Tone.BAD: colors.HexColor("#cf222e"),
}
_FIRST, _SECOND = colors.HexColor("#bc4c00"), colors.HexColor("#0969da")
_UNSHOWN = (
    "A character that no font here has, or that is written from right to left, is shown by its number, as \\u05d0. "
    "The page and the CSV of this report have it as it is."
)
_USUAL_BARS = 12
_GREEN = colors.HexColor("#1a7f37")


def printed(paper: Paper) -> bytes:
    """Return the PDF; of the same report the same bytes."""
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=_PAGE,
        leftMargin=_MARGIN - _PADDING,
        rightMargin=_MARGIN - _PADDING,
        topMargin=_MARGIN,
        bottomMargin=18 * mm,
        title=f"Everleaf: {paper.title}",
        author="Everleaf",
        subject=paper.about,
        invariant=1,
    )
    document.build(_story(paper), canvasmaker=_numbering(paper))
    return out.getvalue()


def _text(text: str, *, is_bold: bool = False) -> str:
    """Return text as the library's markup, each character in a font that has it."""
    first = fonts(is_bold=is_bold)[0]
    return "".join(
        _escaped(some) if font is first else f'<font name="{font.name}">{_escaped(some)}</font>'
        for font, some in runs(text, is_bold=is_bold)
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _style(name: str, *, size: float, font: str = _FONT, ink: Any = _INK, **more: Any) -> ParagraphStyle:
    return ParagraphStyle(
        name, fontName=font, fontSize=size, leading=size * 1.35, textColor=ink, splitLongWords=1, **more
    )


_TITLE = _style("title", size=20, font=_BOLD, spaceAfter=2)
_ABOUT = _style("about", size=8.5, ink=_DIM, spaceAfter=8)
_BODY = _style("body", size=9.5, spaceAfter=8)
_HEAD = _style("head", size=11.5, font=_BOLD, spaceBefore=12, spaceAfter=5)
_NOTE = _style("note", size=8.5, ink=_DIM, spaceBefore=3)


def _story(paper: Paper) -> list[Flowable]:
    about = f"{paper.about} · made {instant(paper.made_at)} for {paper.made_for}"
    story: list[Flowable] = [
        Paragraph(_text(paper.title, is_bold=True), _TITLE),
        Paragraph(_text(about), _ABOUT),
        Paragraph(_text(paper.summary), _BODY),
        _figures(paper.figures),
    ]
    story += [
        KeepTogether([Paragraph(_text(chart.title, is_bold=True), _HEAD), _drawing(chart)])
        for chart in paper.charts
        if chart.bars
    ]
    for table in paper.tables:
        story += _table(table)
    if not all(map(is_whole, _texts(paper))):
        story.append(Paragraph(_text(_UNSHOWN), _NOTE))
    return story


def _texts(paper: Paper) -> Iterator[str]:
    """Return what a report has from outside."""
    yield from (paper.about, paper.made_for, paper.summary)
    yield from (cell.text for table in paper.tables for row in table.rows for cell in row)


def _figures(figures: Sequence[Figure]) -> Flowable:
    boxes = []
    for number, figure in enumerate(figures):
        value = _style(f"value{number}", size=19, font=_BOLD, ink=_TONES[figure.tone])
        label = _style(f"label{number}", size=8.5, ink=_DIM)
        boxes.append(
            [Paragraph(_text(figure.value, is_bold=True), value), Paragraph(_text(figure.label), label)]
        )
    gap = 4 * mm
    width = (_LINE - gap * (len(figures) - 1)) / len(figures)
    cells: list[Any] = []
    widths: list[float] = []
    for box in boxes:
        cells += ["", box] if cells else [box]
        widths += [gap, width] if widths else [width]
    grid = Grid([cells], colWidths=widths)
    frames = [("BOX", (column, 0), (column, 0), 0.6, _RULE) for column in range(0, len(cells), 2)]
    whole = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("BOTTOMPADDING", (0, 0), (-1, -1), 6)]
    grid.setStyle(TableStyle([*whole, *frames]))
    return grid


def _table(table: Table) -> list[Flowable]:
    heading = Paragraph(_text(table.title, is_bold=True), _HEAD)
    if not table.rows:
        return [KeepTogether([heading, Paragraph(_text(table.nothing), _BODY)])]
    heads = [Cell(text=column.title) for column in table.columns]
    rows = [_row(heads, table, font=_BOLD), *(_row(row, table, font=_FONT) for row in table.rows)]
    total = sum(column.width for column in table.columns)
    widths = [_LINE * column.width / total for column in table.columns]
    grid = LongTable(rows, colWidths=widths, repeatRows=1)
    grid.setStyle(
        TableStyle(
            [
                ("BACKGROUND", (0, 0), (-1, 0), _SHADE),
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, _RULE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 4),
                ("RIGHTPADDING", (0, 0), (-1, -1), 4),
                ("TOPPADDING", (0, 0), (-1, -1), 2.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
            ]
        )
    )
    note = [Paragraph(_text(table.note), _NOTE)] if table.note else []
    # A heading, the head of its table and two rows belong on one page.
    return [CondPageBreak(32 * mm), heading, grid, *note]


@cache
def _cell_style(tone: Tone, *, font: str, is_number: bool) -> ParagraphStyle:
    alignment = {"alignment": 2} if is_number else {}
    return _style(
        f"{tone}{font}{is_number}", size=7.8, font=font, ink=_TONES[tone], wordWrap="CJK", **alignment
    )


def _row(row: Sequence[Cell], table: Table, *, font: str) -> list[Paragraph]:
    return [
        Paragraph(
            _text(cell.text, is_bold=font == _BOLD),
            _cell_style(cell.tone, font=font, is_number=column.is_number),
        )
        for cell, column in zip(row, table.columns, strict=True)
    ]


def _drawing(chart: Chart) -> Drawing:
    height = 52 * mm
    drawing = Drawing(_LINE, height)
    bars: Any = VerticalBarChart()  # what it has is set by name
    bars.x, bars.y, bars.width, bars.height = 24, 22, _LINE - 30, height - 44
    series = [[bar.value for bar in chart.bars]]
    if chart.legend:
        series.append([bar.second for bar in chart.bars])
    bars.data = series
    bars.categoryAxis.style = "stacked"
    bars.categoryAxis.categoryNames = [_plain(bar.label) for bar in chart.bars]
    # Few bars stay as wide as one of twelve would be.
    bars.barWidth, bars.groupSpacing = 10, 16 * max(_USUAL_BARS / len(chart.bars), 1) - 10
    most = max(*(bar.value + bar.second for bar in chart.bars), 1)
    step = -(-most // 4)
    bars.valueAxis.valueMin, bars.valueAxis.valueMax = 0, step * -(-most // step)
    bars.valueAxis.valueStep = step
    bars.barLabelFormat = _counted
    bars.barLabels.fontName, bars.barLabels.fontSize, bars.barLabels.fillColor = _FONT, 6.5, colors.white
    bars.barLabels.boxTarget, bars.barLabels.boxAnchor, bars.barLabels.dy = "hi", "n", -2
    bars.valueAxis.labelTextFormat = "%d"
    for axis in (bars.categoryAxis, bars.valueAxis):
        axis.labels.fontName, axis.labels.fontSize, axis.labels.fillColor = _FONT, 7, _DIM
        axis.strokeColor = _RULE
    bars.valueAxis.visibleGrid, bars.valueAxis.gridStrokeColor = True, _RULE
    for number, colour in enumerate((_FIRST, _SECOND)[: len(series)] if chart.legend else (_SECOND,)):
        bars.bars[number].fillColor, bars.bars[number].strokeColor = colour, None
    drawing.add(bars)
    if chart.legend:
        drawing.add(_legend(chart.legend, top=height))
    return drawing


def _counted(value: float) -> str:
    return f"{value:.0f}" if value else ""


def _plain(label: str) -> str:
    known = fonts()[0].known
    return "".join(each if ord(each) in known else "?" for each in label)[:18]


def _legend(names: tuple[str, ...], *, top: float) -> Any:
    legend: Any = Legend()
    legend.x, legend.y = _LINE, top - 2
    legend.boxAnchor, legend.alignment = "ne", "right"
    legend.columnMaximum, legend.deltax, legend.dxTextSpace = 1, 90, 4
    legend.dx = legend.dy = 7
    legend.fontName, legend.fontSize, legend.fillColor = _FONT, 7.5, _DIM
    legend.strokeWidth, legend.strokeColor = 0, None
    legend.colorNamePairs = list(zip((_FIRST, _SECOND), names, strict=True))
    return legend


def _numbering(paper: Paper) -> Callable[..., Canvas]:
    """Return a canvas that writes, once all pages are there, on each which one of how many it is."""

    class Numbered(Canvas):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._pages: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 - the library calls it so
            self._pages.append(dict(self.__dict__))
            self._startPage()  # type: ignore[attr-defined] # as the library's own showPage does

        def save(self) -> None:
            for number, state in enumerate(self._pages, start=1):
                self.__dict__.update(state)
                _foot(self, paper, number=number, of=len(self._pages))
                super().showPage()
            super().save()

    return Numbered


def _foot(canvas: Canvas, paper: Paper, *, number: int, of: int) -> None:
    canvas.setStrokeColor(_GREEN)
    canvas.setLineWidth(2)
    canvas.line(_MARGIN, _PAGE[1] - 9 * mm, _PAGE[0] - _MARGIN, _PAGE[1] - 9 * mm)
    canvas.setFont(_FONT, 7.5)
    canvas.setFillColor(_DIM)
    canvas.drawString(_MARGIN, 9 * mm, f"Everleaf · {paper.title} · {instant(paper.made_at)}")
    canvas.drawRightString(_PAGE[0] - _MARGIN, 9 * mm, f"page {number} of {of}")
