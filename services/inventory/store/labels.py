"""What people and rules say of certificates: owner, tags, custom fields, groups by hand."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import col

from services.inventory.domain.edits import Standing
from services.inventory.domain.fields import Value
from services.inventory.store import groups, teams
from services.inventory.store.organised import CertificateTag, FieldValue, GroupMember, GroupRow
from services.inventory.store.tables import Certificate
from shared.store import Transaction, insert, write_rows
from shared.store.bulk import add_missing, delete_rows
from shared.store.parameters import table_of


async def standings(session: AsyncSession, fingerprints: Collection[str]) -> dict[str, Standing]:
    """Return how those of these certificates that are known are organised."""
    owners = sa.select(col(Certificate.fingerprint), col(Certificate.owner_id), col(Certificate.owner_set_by))
    owned = (await session.execute(owners.where(col(Certificate.fingerprint).in_(fingerprints)))).all()
    found = await tags(session, fingerprints)
    values = await fields(session, fingerprints)
    by_hand = await groups.memberships(session, fingerprints, kind=groups.HAND)
    return {
        fingerprint: Standing(
            owner=owner,
            set_by=set_by,
            tags=frozenset(found.get(fingerprint, ())),
            fields=values.get(fingerprint, {}),
            groups=frozenset(by_hand.get(fingerprint, ())),
        )
        for fingerprint, owner, set_by in owned
    }


async def tags(session: AsyncSession, fingerprints: Collection[str]) -> dict[str, list[str]]:
    """Return the tags of certificates."""
    query = sa.select(col(CertificateTag.fingerprint), col(CertificateTag.tag))
    query = query.where(col(CertificateTag.fingerprint).in_(fingerprints)).order_by(col(CertificateTag.tag))
    found: dict[str, list[str]] = {}
    for fingerprint, tag in (await session.execute(query)).all():
        found.setdefault(fingerprint, []).append(tag)
    return found


async def fields(session: AsyncSession, fingerprints: Collection[str]) -> dict[str, dict[str, Value]]:
    """Return the values of the custom fields of certificates."""
    query = sa.select(FieldValue).where(col(FieldValue.fingerprint).in_(fingerprints))
    found: dict[str, dict[str, Value]] = {}
    for row in (await session.scalars(query.order_by(col(FieldValue.name)))).all():
        found.setdefault(row.fingerprint, {})[row.name] = Value(text=row.text, number=row.number)
    return found


async def write(
    tx: Transaction, before: Mapping[str, Standing], after: Mapping[str, Standing]
) -> frozenset[str]:
    """Write how certificates are organised now, where it is another way than before.

    Return those of which nothing was written, because the team that was to own them is gone.
    """
    wanted = {new.owner for print_, new in after.items() if new.owner not in (None, before[print_].owner)}
    gone = wanted - (await teams.kept_teams(tx, wanted) if wanted else set())
    left_out = frozenset(
        print_ for print_, new in after.items() if new.owner in gone and new.owner != before[print_].owner
    )
    pairs = [(print_, before[print_], new) for print_, new in after.items() if print_ not in left_out]
    await _write_owners(tx, pairs)
    await _write_tags(tx, pairs)
    await _write_fields(tx, pairs)
    await groups.add_members(
        tx, [(each, print_) for print_, old, new in pairs for each in new.groups - old.groups]
    )
    await groups.remove_members(
        tx, [(each, print_) for print_, old, new in pairs for each in old.groups - new.groups]
    )
    return left_out


Pairs = Sequence[tuple[str, Standing, Standing]]


async def _write_owners(tx: Transaction, pairs: Pairs) -> None:
    await tx.session.flush()
    written = {
        fingerprint: (new.owner, new.set_by)
        for fingerprint, old, new in pairs
        if (old.owner, old.set_by) != (new.owner, new.set_by)
    }
    if not written:
        return
    columns = {"fingerprint": sa.Text, "owner": sa.Text, "set_by": sa.Text}
    given = table_of(tx, columns, [(print_, *written[print_]) for print_ in sorted(written)])
    query = sa.update(Certificate).where(col(Certificate.fingerprint) == given.c.fingerprint)
    query = query.values(owner_id=given.c.owner, owner_set_by=given.c.set_by)
    await tx.session.execute(query.execution_options(synchronize_session=False))
    # What was loaded in this transaction shall not say otherwise.
    for loaded in tx.session.identity_map.values():
        if isinstance(loaded, Certificate) and loaded.fingerprint in written:
            owner, set_by = written[loaded.fingerprint]
            set_committed_value(loaded, "owner_id", owner)
            set_committed_value(loaded, "owner_set_by", set_by)


async def _write_tags(tx: Transaction, pairs: Pairs) -> None:
    names = ("fingerprint", "tag")
    added = [(print_, tag) for print_, old, new in pairs for tag in new.tags - old.tags]
    await add_missing(tx, CertificateTag, names, added)
    removed = [(print_, tag) for print_, old, new in pairs for tag in old.tags - new.tags]
    await delete_rows(tx, CertificateTag, names, removed)


async def _write_fields(tx: Transaction, pairs: Pairs) -> None:
    kept = [
        {"fingerprint": print_, "name": name, "text": value.text, "number": value.number}
        for print_, old, new in pairs
        for name, value in new.fields.items()
        if old.fields.get(name) != value
    ]
    new_value = insert(tx, FieldValue)
    set_ = {"text": new_value.excluded.text, "number": new_value.excluded.number}
    upsert = new_value.on_conflict_do_update(index_elements=["fingerprint", "name"], set_=set_)
    await write_rows(tx, upsert, kept)
    removed = [(print_, name) for print_, old, new in pairs for name in old.fields if name not in new.fields]
    await delete_rows(tx, FieldValue, ("fingerprint", "name"), removed)


async def predecessor(session: AsyncSession, row: Certificate) -> str | None:
    """Return the certificate of the same lineage that is valid longest, other than this one."""
    query = (
        sa.select(col(Certificate.fingerprint))
        .where(col(Certificate.lineage_id) == row.lineage_id, col(Certificate.fingerprint) != row.fingerprint)
        .order_by(col(Certificate.not_after).desc(), col(Certificate.id).desc())
        .limit(1)
    )
    found: str | None = await session.scalar(query)
    return found


async def inherit(tx: Transaction, heirs: Mapping[str, str]) -> None:
    """Give certificates the tags, fields and groups by hand of others, beside their own: `heirs` maps each to the one before it."""
    if not heirs:
        return
    given = table_of(tx, {"fingerprint": sa.Text, "of": sa.Text}, list(heirs.items()))
    by_hand = sa.select(col(GroupRow.id)).where(col(GroupRow.kind) == groups.HAND)
    tables: tuple[tuple[Any, list[str], sa.ColumnElement[bool]], ...] = (
        (CertificateTag, ["tag"], sa.true()),
        (FieldValue, ["name", "text", "number"], sa.true()),
        (GroupMember, ["group_id"], col(GroupMember.group_id).in_(by_hand)),
    )
    for table, columns, which in tables:
        values = sa.select(given.c.fingerprint, *(getattr(table, name) for name in columns))
        query = values.join(table, col(table.fingerprint) == given.c.of).where(which)
        new = insert(tx, table).from_select(["fingerprint", *columns], query)
        await tx.session.execute(new.on_conflict_do_nothing())
