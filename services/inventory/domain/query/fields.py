"""The catalogue of the fields that a query may name.

To add a field, add an entry here and one of the same name to `store/queries/fields.py`; a test holds them
together. A name that ends in `.*` stands for all names that begin so (`custom.*`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from services.inventory.domain.assessment.grades import LETTERS
from services.inventory.domain.assessment.quantum import KeyExchange, Signature
from services.inventory.domain.chains.verdicts import OWN, PUBLIC, ChainState
from services.inventory.domain.oddities import Code
from services.inventory.domain.query.tree import Operator
from services.inventory.domain.replacements import State
from shared.events.inventory import Flaw, Urgency
from shared.lint import Severity
from shared.revocation.words import Revocation


class ValueKind(StrEnum):
    """What the values of a field are."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    SPAN = "span"
    CHOICE = "choice"


class Subject(StrEnum):
    """Whose field it is. Terms about a place that are joined by `and` are about one and the same place."""

    CERTIFICATE = "certificate"
    PLACE = "place"


_EQUALITY = (Operator.HAS, Operator.EQUAL, Operator.UNEQUAL)
ORDER = (Operator.LESS, Operator.AT_MOST, Operator.MORE, Operator.AT_LEAST)
OPERATORS: dict[ValueKind, tuple[Operator, ...]] = {
    ValueKind.TEXT: (*_EQUALITY, Operator.IN, Operator.LIKE),
    ValueKind.NUMBER: (*_EQUALITY, *ORDER, Operator.IN),
    ValueKind.BOOLEAN: _EQUALITY,
    ValueKind.INSTANT: (*_EQUALITY, *ORDER),
    ValueKind.SPAN: (*_EQUALITY, *ORDER),
    ValueKind.CHOICE: (*_EQUALITY, Operator.IN),
}
"""How fields of a kind may be asked, where they say nothing else."""


def lower(text: str) -> str:
    """Write a text as the store does, where it keeps lower case."""
    return text.lower()


def hexadecimal(text: str) -> str:
    """Write a digest as the store does: lower case, without the colons that other programs show."""
    return text.lower().replace(":", "")


def serial(text: str) -> str:
    """Write a serial number as the store does: without leading zeros."""
    return hexadecimal(text).lstrip("0") or "0"


@dataclass(frozen=True, kw_only=True)
class Field:
    """What may be asked about a certificate or one of its places."""

    name: str
    kind: ValueKind
    about: str
    """What it is, in one line, for people."""
    subject: Subject = Subject.CERTIFICATE
    choices: Sequence[str] = ()
    """Of a `CHOICE`, the least first where it has an order."""
    more: Sequence[Operator] = ()
    """Operators beyond those of its kind."""
    tidy: Callable[[str], str] = str
    """Writes a text as the store does; doing it twice changes nothing."""
    is_sortable: bool = False
    is_countable: bool = False
    """Whether facets count by it."""

    @property
    def operators(self) -> tuple[Operator, ...]:
        """Return how it may be asked."""
        return (*OPERATORS[self.kind], *self.more)


def _place(
    name: str, kind: ValueKind, about: str, *, choices: Sequence[str] = (), counts: bool = False
) -> Field:
    return Field(
        name=f"place.{name}",
        kind=kind,
        about=about,
        subject=Subject.PLACE,
        choices=choices,
        is_countable=counts,
    )


_OF_CERTIFICATES = (
    Field(
        name="fingerprint",
        kind=ValueKind.TEXT,
        tidy=hexadecimal,
        about="The SHA-256 of its DER, in hexadecimal; colons do not matter.",
    ),
    Field(name="serial", kind=ValueKind.TEXT, tidy=serial, about="The serial number, in hexadecimal."),
    Field(name="subject", kind=ValueKind.TEXT, is_sortable=True, about="The subject, as RFC 4514 writes it."),
    Field(
        name="issuer",
        kind=ValueKind.TEXT,
        is_sortable=True,
        about="The issuer, as RFC 4514 writes it.",
        is_countable=True,
    ),
    Field(
        name="name",
        kind=ValueKind.TEXT,
        tidy=lower,
        more=(Operator.UNDER,),
        about="A name it is for: DNS names and IP addresses. `under` takes in all below a domain.",
    ),
    Field(name="wildcard", kind=ValueKind.BOOLEAN, about="Whether one of its names begins with `*.`."),
    Field(name="expires", kind=ValueKind.INSTANT, about="When it ends.", is_sortable=True),
    Field(name="issued", kind=ValueKind.INSTANT, about="When it begins.", is_sortable=True),
    Field(name="lifetime", kind=ValueKind.SPAN, about="How long it is valid, its last second included."),
    Field(
        name="key.type",
        kind=ValueKind.TEXT,
        tidy=lower,
        about="The kind of its key: `rsa`, `ecdsa` for all curves or `ecdsa-p256` for one, `ed25519` …",
        is_sortable=True,
        is_countable=True,
    ),
    Field(
        name="key.size",
        kind=ValueKind.NUMBER,
        about="The size of its key in bits.",
        is_sortable=True,
        is_countable=True,
    ),
    Field(
        name="key.fingerprint",
        kind=ValueKind.TEXT,
        tidy=hexadecimal,
        about="The SHA-256 of its SubjectPublicKeyInfo, in hexadecimal.",
    ),
    Field(name="signature", kind=ValueKind.TEXT, about="The algorithm it is signed with.", is_countable=True),
    Field(name="ca", kind=ValueKind.BOOLEAN, about="Whether it may issue others.", is_countable=True),
    Field(
        name="self_issued",
        kind=ValueKind.BOOLEAN,
        about="Whether subject and issuer are the same.",
        is_countable=True,
    ),
    Field(
        name="readable", kind=ValueKind.BOOLEAN, about="Whether its bytes could be read.", is_countable=True
    ),
    Field(
        name="oddity",
        kind=ValueKind.CHOICE,
        choices=tuple(each.value for each in Code),
        about="What is odd about its bytes.",
    ),
    Field(name="lineage", kind=ValueKind.TEXT, about="The id of its lineage."),
    Field(
        name="current",
        kind=ValueKind.BOOLEAN,
        about="Whether its expiry matters: it is in use and has no successor.",
        is_countable=True,
    ),
    Field(
        name="urgency",
        kind=ValueKind.CHOICE,
        choices=tuple(each.value for each in Urgency),
        more=ORDER,
        about="The last threshold that it has crossed, while it is current.",
        is_countable=True,
    ),
    Field(
        name="renewal", kind=ValueKind.BOOLEAN, about="Whether renewal has obtained it.", is_countable=True
    ),
    Field(
        name="replacement",
        kind=ValueKind.CHOICE,
        choices=tuple(each.value for each in State),
        about="How far its replacement by another has come.",
    ),
    Field(name="finding", kind=ValueKind.TEXT, about="A rule that it breaks, as the linter names it."),
    Field(
        name="finding.severity",
        kind=ValueKind.CHOICE,
        choices=tuple(each.value for each in reversed(Severity)),
        more=ORDER,
        about="The severity of a rule that it breaks.",
    ),
    Field(
        name="issuer.expires",
        kind=ValueKind.INSTANT,
        about="When an authority ends that it was served under.",
    ),
    Field(
        name="issuer.outlived",
        kind=ValueKind.BOOLEAN,
        about="Whether an authority that it was served under ends before it does.",
    ),
    Field(
        name="issuer.finding",
        kind=ValueKind.TEXT,
        about="A rule that an authority breaks that it was served under, as the linter names it.",
    ),
    Field(
        name="issuer.finding.severity",
        kind=ValueKind.CHOICE,
        choices=tuple(each.value for each in reversed(Severity)),
        more=ORDER,
        about="The severity of such a rule.",
    ),
    Field(name="revoked", kind=ValueKind.BOOLEAN, about="Whether its authority was seen to have revoked it."),
    Field(
        name="revocation",
        kind=ValueKind.CHOICE,
        choices=tuple(each.value for each in Revocation),
        about="What its authority says of it, where it could be asked.",
    ),
    Field(
        name="chain",
        kind=ValueKind.CHOICE,
        choices=tuple(each.value for each in ChainState),
        about="The worst that is wrong with a chain it is served with now.",
    ),
    Field(
        name="trust",
        kind=ValueKind.CHOICE,
        choices=(PUBLIC, OWN),
        about="The trust store that a chain it is served with now leads to.",
    ),
    Field(name="seen", kind=ValueKind.INSTANT, about="When it became known here.", is_sortable=True),
    Field(
        name="owner",
        kind=ValueKind.TEXT,
        tidy=lower,
        about="The id of the team that owns it; `not owner` for what nobody owns.",
        is_countable=True,
    ),
    Field(name="owner.name", kind=ValueKind.TEXT, about="The name of the team that owns it."),
    Field(name="group", kind=ValueKind.TEXT, tidy=lower, about="The id of a group that it is in."),
    Field(name="tag", kind=ValueKind.TEXT, tidy=lower, about="A tag on it."),
    Field(
        name="field.*",
        kind=ValueKind.TEXT,
        more=ORDER,
        about="A custom field, as `field.cost-centre = 4711`; days are written as 2026-11-27.",
    ),
    Field(name="managed", kind=ValueKind.BOOLEAN, about="Whether renewal renews its lineage by itself."),
)
_OF_PLACES = (
    _place("address", ValueKind.TEXT, "The address or host of a place it is at."),
    _place("port", ValueKind.NUMBER, "The port there.", counts=True),
    _place("name", ValueKind.TEXT, "The server name (SNI) it is served under there."),
    _place("path", ValueKind.TEXT, "Where in a store it lies."),
    _place("starttls", ValueKind.TEXT, "The protocol that TLS was begun from there.", counts=True),
    _place("kind", ValueKind.CHOICE, "What the place is.", choices=("endpoint", "store"), counts=True),
    _place("since", ValueKind.INSTANT, "Since when it is there."),
    _place("seen", ValueKind.INSTANT, "When it was last seen there."),
    _place(
        "flaw",
        ValueKind.CHOICE,
        "What is wrong with the place.",
        choices=tuple(each.value for each in Flaw),
        counts=True,
    ),
)

_OF_ASSESSMENTS = (
    Field(
        name="grade",
        kind=ValueKind.CHOICE,
        subject=Subject.PLACE,
        choices=LETTERS[::-1],
        more=ORDER,
        about="The letter of a place it is at, from `T` to `A+`.",
    ),
    Field(
        name="policy.fails",
        kind=ValueKind.TEXT,
        subject=Subject.PLACE,
        about="The id of a policy that is on and broken at a place it is at.",
    ),
    Field(
        name="policy.passes",
        kind=ValueKind.TEXT,
        subject=Subject.PLACE,
        about="The id of a policy that is on and kept at a place it is at.",
    ),
    Field(
        name="pq",
        kind=ValueKind.CHOICE,
        subject=Subject.PLACE,
        choices=tuple(each.value for each in KeyExchange),
        about="Whether a place it is at offers key exchange that withstands quantum computers.",
    ),
    Field(
        name="pq.signature",
        kind=ValueKind.CHOICE,
        subject=Subject.PLACE,
        choices=tuple(each.value for each in Signature),
        about="What key and signature of the certificate at a place rest on.",
    ),
)

FIELDS: tuple[Field, ...] = (*_OF_CERTIFICATES, *_OF_PLACES, *_OF_ASSESSMENTS)


class Catalogue:
    """Fields by their names."""

    def __init__(self, fields: Iterable[Field]) -> None:
        self.fields = tuple(fields)
        self._by_name = {field.name: field for field in self.fields if not field.name.endswith(".*")}
        self._families = {
            field.name.removesuffix("*"): field for field in self.fields if field.name.endswith(".*")
        }

    def find(self, name: str) -> Field | None:
        """Return the field of this name, or None."""
        if name in self._by_name:
            return self._by_name[name]
        family, dot, rest = name.partition(".")
        return self._families.get(family + dot) if rest else None

    def like(self, name: str) -> Sequence[str]:
        """Return the names that somebody may have meant, the likeliest first."""
        last = [full for full in self._by_name if full.rpartition(".")[2] == name]
        return last or get_close_matches(name, self._by_name, n=2)


CATALOGUE = Catalogue(FIELDS)
