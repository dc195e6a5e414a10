"""Reports as files: what people read, print, or put into a spreadsheet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.notifier.connectors.papers.page import page
from services.notifier.connectors.papers.print import printed
from services.notifier.connectors.papers.sheet import sheet
from services.notifier.domain.reports import Paper


class Form(StrEnum):
    """What a report is written as."""

    HTML = "html"
    PDF = "pdf"
    CSV = "csv"


MEDIA_TYPES: Mapping[Form, str] = {
    Form.HTML: "text/html; charset=utf-8",
    Form.PDF: "application/pdf",
    Form.CSV: "text/csv; charset=utf-8; header=present",
}
_WRITERS: Mapping[Form, Callable[[Paper], bytes]] = {Form.HTML: page, Form.PDF: printed, Form.CSV: sheet}


@dataclass(frozen=True, kw_only=True)
class File:
    """A report that is written."""

    name: str
    media_type: str
    content: bytes = field(repr=False)


def write(paper: Paper, form: Form) -> File:
    """Return a report as a file of a form. It takes a while: call it in a thread."""
    return File(
        name=f"everleaf-{paper.report}-{paper.made_at:%Y-%m-%d}.{form}",
        media_type=MEDIA_TYPES[form],
        content=_WRITERS[form](paper),
    )
