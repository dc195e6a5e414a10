"""What a Microsoft CA (AD CS) has issued: its database, read with certutil on the CA's host over SSH.

Rows are asked for by number and with nothing in them that depends on the language of the host: number and certificate.
Revoked certificates are left out, and so are those that have expired, unless the settings want them. Each run reads all that
is valid, so that what the CA revokes is told as lost; within a run it goes on after the last number.
"""

import base64
import binascii
import csv
import io
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

from pydantic import BaseModel, Field

from services.discovery.connectors import Access, Check
from services.discovery.connectors.powershell import WindowsCredential, WindowsSettings, powershell
from services.discovery.connectors.windows.scripts import ISSUED, WHO
from services.discovery.domain.holdings import Gap, Holding, Page
from shared import x509
from shared.appliances.powershell import PowerShell
from shared.errors import Invalid, Unavailable

PER_PAGE = 100
MOST_ROWS = 1_000_000
_LINES = 5_000
"""Of certutil's answer at a time: about a hundred certificates of forty lines or so."""
_ISSUED = 20
"""The disposition of a certificate that was issued, and not revoked since."""
_SCOPE = "issued"
_ACCESS_DENIED = "0x80070005"
_NUMBER = re.compile(r"(?:0x[0-9A-Fa-f]+ \((?P<told>[0-9]{1,10})\)|(?P<plain>[0-9]{1,10}))")


class AdcsSettings(WindowsSettings):
    """Where the CA's host is."""

    expired: bool = Field(False, description="Also what has expired.")


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A row of the database; `der` is empty where it cannot be decoded."""

    number: int
    der: bytes

    @property
    def path(self) -> str:
        return f"{_SCOPE}/{self.number}"


class Adcs:
    """A CA on a Windows host that we log into with SSH."""

    kind: ClassVar[str] = "adcs"
    summary: ClassVar[str] = "Certificates that a Microsoft CA (AD CS) has issued, over SSH and certutil."
    settings_type: ClassVar[type[BaseModel]] = AdcsSettings
    credential_type: ClassVar[type[BaseModel]] = WindowsCredential

    def __init__(self, shell: PowerShell, *, settings: AdcsSettings) -> None:
        self._shell = shell
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Connect and log in."""
        async with powershell(access) as shell:
            yield cls(shell, settings=cast("AdcsSettings", access.settings))

    async def check(self) -> Sequence[Check]:
        """Say who we are there, and whether the CA's database may be read."""
        who = await self._shell.ask(WHO, answers="Name")
        login = Check(name="login", ok=True, text=f"{who.get('Name')} on {who.get('Computer')}.")
        _, _, gap = await self._rows(after=0)
        if gap is not None:
            return [login, Check(name="database", ok=False, text=f"{gap.reason} {gap.next_step}")]
        return [login, Check(name="database", ok=True, text="The CA's database may be read.")]

    async def read(self, *, after: str | None) -> AsyncGenerator[Page]:
        """Yield what was issued, by the number of the request."""
        number = int(after or 0)
        seen = 0
        while True:
            rows, is_cut, gap = await self._rows(after=number)
            seen += len(rows)
            if gap is None and is_cut and (not rows or seen > MOST_ROWS):
                gap = Gap(
                    scope=_SCOPE,
                    reason=f"What comes after request {number} was not read: it is more than can be.",
                    next_step="Look at that request with certutil -view.",
                )
            is_end = not is_cut or gap is not None
            for start in range(0, max(len(rows), 1), PER_PAGE):
                chosen = rows[start : start + PER_PAGE]
                is_last = is_end and start + PER_PAGE >= len(rows)
                number = chosen[-1].number if chosen else number
                yield self._page(
                    chosen, gap=gap if is_last else None, position=None if is_last else str(number)
                )
            if is_end:
                return

    def _page(self, rows: Sequence[_Row], *, gap: Gap | None, position: str | None) -> Page:
        holdings, gaps = [], [gap] if gap else []
        for row in rows:
            try:
                x509.read(row.der)
            except Invalid as error:
                gaps.append(
                    Gap(scope=row.path, reason=error.detail, next_step="Look at it with certutil -view.")
                )
                continue
            holdings.append(
                Holding(address=self._settings.host, path=row.path, chain=(row.der,), format="adcs")
            )
        return Page(holdings=tuple(holdings), gaps=tuple(gaps), position=position)

    async def _rows(self, *, after: int) -> tuple[list[_Row], bool, Gap | None]:
        """Return rows after a number, whether there may be more, and why none may be read."""
        limits = [f"+RequestID>{after}", f"Disposition={_ISSUED}"]
        if not self._settings.expired:
            limits.append("NotAfter>=now")
        told = await self._shell.ask(
            ISSUED, answers="Text", restrict=",".join(limits), out="RequestID,RawCertificate", lines=_LINES
        )
        text, count = str(told.get("Text") or ""), told.get("Count")
        is_cut = isinstance(count, int) and count >= _LINES
        rows = list(_read(text, after=after, is_cut=is_cut))
        if rows or not _has_failed(told, text):
            return rows, is_cut, None
        if _ACCESS_DENIED in text:
            step = "Give the account the permission Read in the CA's properties, tab Security."
            return [], False, Gap(scope=_SCOPE, reason="The CA's database may not be read.", next_step=step)
        raise Unavailable(
            f"certutil failed: {_plain(text)}.",
            next_step="Check on the host that certsvc runs: certutil -ping.",
        )


def _has_failed(told: Any, text: str) -> bool:
    status = told.get("Status")
    return "CertUtil:" in text or (isinstance(status, int) and status != 0)


def _read(text: str, *, after: int, is_cut: bool) -> Iterator[_Row]:
    """Yield the rows of certutil's csv; the first one, its headings, has no number, and one that was cut off is left out."""
    rows: list[_Row] = []
    # One certificate is one field, broken into lines; a quotation mark that is never closed makes the rest one.
    previous = csv.field_size_limit(len(text) + 1)
    try:
        for fields in csv.reader(io.StringIO(text)):
            number = _NUMBER.fullmatch(fields[0].strip()) if len(fields) > 1 else None
            if number:
                found = int(number["told"] or number["plain"])
                rows.append(_Row(number=found, der=_decoded(fields[1])))
    except csv.Error:
        is_cut = True
    finally:
        csv.field_size_limit(previous)
    last = after
    for row in rows[:-1] if is_cut else rows:
        if row.number > last:  # in their order, each once: else reading would not come to an end
            last = row.number
            yield row


def _decoded(field: str) -> bytes:
    text = re.sub(r"-----(BEGIN|END) [A-Z0-9 ]+-----|\s", "", field)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _plain(text: str) -> str:
    words = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return words[-300:].rstrip(".") or "it said nothing"
