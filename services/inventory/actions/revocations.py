"""Asks authorities whether certificates that are in use were revoked, and tells it once of each that was."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import anyio
from cryptography import x509

from services.inventory.actions.assessing import Assessing
from services.inventory.actions.holding import hold_certificates
from services.inventory.actions.timeline import Entry, note
from services.inventory.domain.revocation import next_look, settled
from services.inventory.domain.timeline import Happening
from services.inventory.store import certificates, places, revocations
from services.inventory.store.revocations import Due
from services.inventory.store.tables import Certificate, RevocationRow
from shared.apart import Unfinished, run_apart
from shared.errors import EverleafError
from shared.events.inventory import CertificateRevocationSeen
from shared.extensions import storable
from shared.revocation.crls import Asked, asked_of, read_crl
from shared.revocation.ocsp import read_response, request_for
from shared.revocation.published import Authorities
from shared.revocation.words import Means, Revocation, Word, unreachable
from shared.store import Database, Transaction
from shared.x509 import load

BATCH = 200
MOST_OF_CRL = 5000
_LEASE = timedelta(minutes=20)
_NOT_IN_USE = timedelta(days=1)
_CRL_WITHIN = timedelta(seconds=60)
_PARALLEL = 8
"""Hosts that are asked at the same time; each is asked one question after the other."""
PLACES_TOLD = 50
_LONGEST = 2000
_NO_ISSUER = Word(
    state=Revocation.UNKNOWN,
    evidence="The certificate of its issuer is not known here, so that nothing can be verified.",
)


@dataclass(frozen=True, kw_only=True)
class _Question:
    """A certificate to be asked about, with what that takes."""

    row: RevocationRow
    certificate: x509.Certificate
    issuer: x509.Certificate
    issuer_der: bytes


class Revocations:
    """What is known of revocation; `within` is how long a revocation may go unnoticed at most."""

    def __init__(
        self, database: Database, authorities: Authorities, *, within: timedelta, assessing: Assessing
    ) -> None:
        self._database = database
        self._assessing = assessing
        self._authorities = authorities
        self._within = within

    async def ask_due(self, now: datetime) -> bool:
        """Ask about a batch of certificates; return whether there may be more."""
        async with self._database.transaction() as tx:
            due = await revocations.claim(tx, now=now, until=now + _LEASE, limit=BATCH)
            for crl in sorted(
                {each.row.crl_id for each in due if each.row.ocsp_url is None and each.row.crl_id}
            ):
                due += await revocations.claim_of_crl(tx, crl, now=now, until=now + _LEASE, limit=MOST_OF_CRL)
            asked = [each.row for each in due if _is_to_be_asked(each, now=now)]
        if asked:
            words = await self._ask(asked, now=now)
            names = sorted(words)
            for start in range(0, len(names), BATCH):  # each is held until all of its part is kept
                part = {name: words[name] for name in names[start : start + BATCH]}
                async with self._database.transaction() as tx:
                    await hold_certificates(tx, part)
                    await self._keep(tx, part, now=now)
        return len(due) >= BATCH

    async def _ask(self, rows: Sequence[RevocationRow], *, now: datetime) -> Mapping[str, Word]:
        questions, words = await self._questions(rows)
        by_host = defaultdict(list)
        for each in questions:
            if each.row.ocsp_url is not None:
                by_host[urlsplit(each.row.ocsp_url).netloc].append(each)
        limiter = anyio.CapacityLimiter(_PARALLEL)

        async def ask_host(of_host: Sequence[_Question]) -> None:
            async with limiter:
                for each in of_host:
                    words[each.row.fingerprint] = await self._by_ocsp(each, now=now)

        async with anyio.create_task_group() as tasks:
            for of_host in by_host.values():
                tasks.start_soon(ask_host, of_host)
        await self._by_crls(questions, words, now=now)
        return words

    async def _questions(self, rows: Sequence[RevocationRow]) -> tuple[list[_Question], dict[str, Word]]:
        """Return what can be asked, and the words on what cannot."""
        names = {name for row in rows for name in (row.fingerprint, row.issuer_fingerprint) if name}
        async with self._database.read() as session:
            ders = await certificates.ders(session, sorted(names))
        questions, words = [], {}
        for row in rows:
            der, issuer = ders.get(row.fingerprint), ders.get(row.issuer_fingerprint or "")
            if der is None or issuer is None:
                words[row.fingerprint] = _NO_ISSUER
            else:
                questions.append(
                    _Question(row=row, certificate=load(der), issuer=load(issuer), issuer_der=issuer)
                )
        return questions, words

    async def _by_ocsp(self, question: _Question, *, now: datetime) -> Word:
        url = question.row.ocsp_url or ""
        try:
            request = request_for(question.certificate, question.issuer)
            body = await self._authorities.ocsp(url, request)
        except EverleafError as error:
            return unreachable(error.detail, means=Means.OCSP, url=url)
        except (ValueError, TypeError) as error:
            return unreachable(f"It cannot be asked for ({error}).", means=Means.OCSP, url=url)
        try:
            return read_response(
                body, certificate=question.certificate, issuer=question.issuer, url=url, now=now
            )
        except Exception as error:  # noqa: BLE001 - hostile bytes find every weakness of a parser; none may stop a batch
            why = f"The answer cannot be read ({type(error).__name__}: {error})."
            return unreachable(why, means=Means.OCSP, url=url)

    async def _by_crls(
        self, questions: Sequence[_Question], words: dict[str, Word], *, now: datetime
    ) -> None:
        """Ask CRLs about those that OCSP has not settled: each CRL once, one after the other."""
        by_crl: dict[tuple[str, bytes], list[_Question]] = defaultdict(list)
        for each in questions:
            word = words.get(each.row.fingerprint)
            if each.row.crl_id is not None and (word is None or word.state in _UNSETTLED):
                by_crl[each.row.crl_id, each.issuer_der].append(each)
        for (crl, issuer_der), of_crl in by_crl.items():
            asked = {each.row.fingerprint: asked_of(each.certificate) for each in of_crl}
            for name, word in (await self._by_crl(crl, issuer_der, asked, now=now)).items():
                words[name] = _clearer(words.get(name), word)

    async def _by_crl(
        self, crl: str, issuer_der: bytes, asked: Mapping[str, Asked], *, now: datetime
    ) -> Mapping[str, Word]:
        async with self._database.read() as session:
            row, body = await revocations.kept_crl(session, crl)
        if row is None:
            return {}
        is_fresh = row.fetched_at is not None and now - row.fetched_at < self._within / 2
        if body is not None and is_fresh:
            words = await _read(body, issuer_der, row.url, asked, now=now)
            if not _is_unusable(words):
                return words
        try:
            fetched = await self._authorities.crl(row.url)
        except EverleafError as error:
            kept = await _read(body, issuer_der, row.url, asked, now=now) if body is not None else {}
            if kept and not _is_unusable(kept):  # what is kept has not ended yet
                return kept
            return {name: unreachable(error.detail, means=Means.CRL, url=row.url) for name in asked}
        words = await _read(fetched, issuer_der, row.url, asked, now=now)
        if not _is_unusable(words):
            async with self._database.transaction() as tx:
                await revocations.keep_crl(tx, crl, fetched, now=now)
        return words

    async def _keep(self, tx: Transaction, words: Mapping[str, Word], *, now: datetime) -> None:
        rows = await revocations.rows_of(tx, sorted(words))
        for name, row in rows.items():
            word = words[name]
            has_failed = word.state is Revocation.UNREACHABLE
            row.failures = row.failures + 1 if has_failed else 0
            row.due_at = next_look(word, failures=row.failures, within=self._within, now=now)
            row.checked_at = now
            _write(row, settled(_known(row), word, now=now))
            is_revoked = _IS_REVOKED.get(row.state or "")
            await self._assessing.told(tx, name, now=now, is_revoked=is_revoked)
            if row.state == Revocation.GOOD:
                row.told_at = None  # a hold was lifted: should it be revoked again, that is news
            elif row.state == Revocation.REVOKED and row.told_at is None:
                await _tell(tx, row, now=now)


_IS_REVOKED = {Revocation.GOOD.value: False, Revocation.REVOKED.value: True}
_UNSETTLED = (Revocation.UNREACHABLE, Revocation.UNKNOWN)


def _is_to_be_asked(due: Due, *, now: datetime) -> bool:
    """Put off what is not in use, and what has ended: authorities take those out of their CRLs (RFC 5280 §5)."""
    if due.not_after is not None and due.not_after < now:
        due.row.due_at = None
        return False
    if not due.is_current:
        due.row.due_at = now + _NOT_IN_USE
    return due.is_current


def _clearer(ocsp: Word | None, crl: Word) -> Word:
    """Return the word that says more; of two that say nothing, both."""
    if ocsp is None or crl.state not in _UNSETTLED:
        return crl
    return Word(state=ocsp.state, evidence=f"{ocsp.evidence} {crl.evidence}", means=ocsp.means, url=ocsp.url)


async def _read(
    body: bytes, issuer_der: bytes, url: str, asked: Mapping[str, Asked], *, now: datetime
) -> Mapping[str, Word]:
    try:
        return await run_apart(read_crl, body, issuer_der, url, dict(asked), now, within=_CRL_WITHIN)
    except Unfinished as error:
        why = f"The CRL cannot be read: {error}."
        return {name: unreachable(why, means=Means.CRL, url=url) for name in asked}


def _is_unusable(words: Mapping[str, Word]) -> bool:
    return all(word.state is Revocation.UNREACHABLE for word in words.values())


def _known(row: RevocationRow) -> Word | None:
    if row.state is None:
        return None
    return Word(
        state=Revocation(row.state),
        evidence=row.evidence or "",
        means=Means(row.means) if row.means else None,
        url=row.url,
        this_update=row.this_update,
        next_update=row.next_update,
        revoked_at=row.revoked_at,
        reason=row.reason,
    )


def _write(row: RevocationRow, word: Word) -> None:
    row.state, row.evidence = word.state, storable(word.evidence, most=_LONGEST)
    row.means, row.url = word.means, word.url
    row.this_update, row.next_update = word.this_update, word.next_update
    row.revoked_at, row.reason = word.revoked_at, word.reason


async def _tell(tx: Transaction, row: RevocationRow, *, now: datetime) -> None:
    """Tell that a certificate in use is revoked, where it is still in use."""
    certificate = await certificates.certificate(tx.session, row.fingerprint)
    if certificate is None or not certificate.is_current or row.revoked_at is None:
        return
    row.told_at = now
    told = await _seen(tx, certificate, row, now=now)
    entry = Entry(
        kind=Happening.REVOKED,
        text=f"Its authority revoked it at {row.revoked_at:%Y-%m-%d %H:%M} UTC ({row.reason}).",
        at=now,
        fingerprint=row.fingerprint,
        event_id=tx.emit(told, now=now),
    )
    note(tx, certificate.lineage_id, entry)


async def _seen(
    tx: Transaction, certificate: Certificate, row: RevocationRow, *, now: datetime
) -> CertificateRevocationSeen:
    seen_at = await places.places_serving(tx.session, row.fingerprint, limit=PLACES_TOLD)
    return CertificateRevocationSeen(
        lineage_id=certificate.lineage_id,
        fingerprint=row.fingerprint,
        revoked_at=row.revoked_at or now,
        reason=row.reason or "unspecified",
        means=row.means or "",
        seen_at=now,
        subject_name=certificate.subject or "",
        issuer_name=certificate.issuer or "",
        names=certificate.names,
        places=[places.as_place(place) for place, _seen in seen_at],
        place_count=await places.count_serving(tx.session, row.fingerprint),
    )
