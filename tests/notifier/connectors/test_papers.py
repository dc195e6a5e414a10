"""Reports as files: whole, harmless, and the same each time."""

import csv
import io
from datetime import timedelta
from html.parser import HTMLParser

import pypdf
import pytest

from services.notifier.connectors.papers import Form, fonts, write
from services.notifier.connectors.papers.sheet import harmless
from services.notifier.domain.reports import Paper
from services.notifier.domain.reports.certificates import expiring, ownership
from services.notifier.domain.reports.material import Heading, KnownCertificate, KnownOwner, Some
from tests.notifier.workshop import NOON

HEADING = Heading(made_at=NOON, made_for="Ada <b>", about="all groups", days=90)
EVIL = "=cmd|' /C calc'!A0<script>alert(1)</script>"


def certificates(count: int) -> list[KnownCertificate]:
    """Return certificates that end a day apart, the first with a name that is an attack."""
    return [
        KnownCertificate(
            fingerprint=f"{number:064x}",
            lineage_id=str(number),
            names=[EVIL if number == 0 else f"host-{number:03}.example.test"],
            issuer="CN=中文 CA & Söhne",
            not_after=NOON + timedelta(days=number % 90 - 1),
            owner=KnownOwner(id="payments", name="Payments") if number % 2 else None,
        )
        for number in range(count)
    ]


def paper(count: int = 3, *, is_cut: bool = False) -> Paper:
    """Return a report of what ends."""
    found = Some(certificates=certificates(count), is_cut=is_cut)
    return expiring(found, by_hand={f"{1:064x}"}, in_use=7, heading=HEADING)


def rows(of: Paper) -> list[list[str]]:
    """Return the rows of a CSV."""
    text = write(of, Form.CSV).content.decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))


def test_a_table_has_a_row_for_each_certificate_under_its_heads() -> None:
    heads, first, second, third = rows(paper())
    assert heads == ["Name", "Owner", "Issuer", "Ends (UTC)", "Days", "Renewed"]
    assert first[0] == f"'{EVIL}", "nothing that a spreadsheet would run"
    assert first[4] == "-1", "a number stays a number"
    assert second == [
        "host-001.example.test",
        "Payments",
        "CN=中文 CA & Söhne",
        "2026-11-23 12:00",
        "0",
        "by hand",
    ]
    assert third[5] == "by itself"


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "\u00a0=1"]
)
def test_what_begins_as_a_formula_is_text(text: str) -> None:
    assert harmless(text) == f"'{text}"


def test_several_tables_have_their_titles_before_them() -> None:
    found = Some(certificates=certificates(4), is_cut=False)
    written = rows(ownership(found, by_hand=set(), heading=HEADING))
    assert [row[0] for row in written if len(row) == 1] == ["Teams", "Without an owner"]


class Tags(HTMLParser):
    """Notes the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name in ("href", "src") or name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_page_shows_every_text_and_runs_none() -> None:
    reader = Tags()
    reader.feed(write(paper(), Form.HTML).content.decode())
    assert "script" not in reader.tags
    assert "b" in reader.tags, "its own, around figures"
    assert EVIL in "".join(reader.texts)
    assert "made 2026-11-23 12:00 UTC for Ada <b>" in "".join(reader.texts)


def test_a_print_has_numbered_pages_with_heads_and_all_rows() -> None:
    content = write(paper(200, is_cut=True), Form.PDF).content
    document = pypdf.PdfReader(io.BytesIO(content))
    pages = [page.extract_text() for page in document.pages]
    assert len(pages) > 5
    for number, text in enumerate(pages, start=1):
        assert f"page {number} of {len(pages)}" in text
    assert all("Ends (UTC)" in text for text in pages[:-1]), "the heads of the table are on every page"
    whole = "\n".join(pages)
    assert all(f"host-{number:03}.example.test" in whole for number in range(1, 200))
    assert "There are more; these are the first 5000." in whole
    assert "CN=中文 CA & Söhne" in whole
    assert document.metadata is not None
    assert document.metadata.title == "Everleaf: Expiring certificates"


@pytest.mark.parametrize(
    "name",
    [
        "διαδίκτυο.example.test",
        "почта.пример.test",
        "zażółć-gęślą-jaźń.example.test",
        "例え.テスト",
        "中文网站",
        "한국어",
    ],
)
def test_a_print_shows_the_alphabets_that_names_are_written_in(name: str) -> None:
    assert name in printed(name)
    assert "is shown by its number" not in printed(name)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("עברית", "\\u05e2\\u05d1"), ("ᚠᚢᚦ", "\\u16a0"), ("\U0001f512 lock", "\\u1f512 lock")],
)
def test_what_a_print_cannot_show_is_told_by_its_number_and_it_says_so(name: str, numbers: str) -> None:
    assert numbers in printed(name)
    assert "A character that no font here has" in printed(name)


def test_a_print_without_the_fonts_of_the_system_shows_what_the_library_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = [pair for pair in fonts._CHAIN if "Vera" in pair[0].stem]
    monkeypatch.setattr(fonts, "fonts", lambda *, is_bold=False: [fonts.Font(ours[0][is_bold])])
    assert list(fonts.runs("Söhne中")) == [(fonts.Font(ours[0][0]), "Söhne\\u4e2d")]


def printed(name: str) -> str:
    """Return what a PDF shows of a certificate of this name, on one line."""
    (certificate,) = certificates(2)[1:]
    found = Some(certificates=[certificate.model_copy(update={"names": [name]})], is_cut=False)
    content = write(expiring(found, by_hand=set(), in_use=1, heading=HEADING), Form.PDF).content
    (page,) = pypdf.PdfReader(io.BytesIO(content)).pages
    return page.extract_text()


def test_the_same_report_is_the_same_file() -> None:
    for form in Form:
        assert write(paper(), form).content == write(paper(), form).content, form


def test_a_report_of_nothing_says_so() -> None:
    nothing = expiring(Some(certificates=[], is_cut=False), by_hand=set(), in_use=0, heading=HEADING)
    assert b"Nothing ends in this time." in write(nothing, Form.HTML).content
    text = pypdf.PdfReader(io.BytesIO(write(nothing, Form.PDF).content)).pages[0].extract_text()
    assert "Nothing ends in this time." in text
