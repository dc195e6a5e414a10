"""Certificates and keys as the APIs of others take them: texts in PEM, and which leaf a text holds."""

from pydantic import SecretStr

from services.provisioner.connectors import Part
from services.provisioner.domain import DeploymentError, Failure, Material
from shared import x509
from shared.errors import Invalid

WITHOUT_WAY_BACK = (
    "Replace it though it could not be put back: what is there is not from here, and its key cannot be read."
)


class Pair(Part):
    """A chain and its key, kept sealed while a deployment may need them."""

    leaf: str
    issuers: str
    key: SecretStr

    @property
    def chain(self) -> str:
        """Return leaf and issuers."""
        return self.leaf + self.issuers

    @property
    def fingerprint(self) -> str | None:
        """Return the leaf's."""
        return leaf_in(self.leaf)

    @property
    def private_pem(self) -> str:
        """Return the key."""
        return self.key.get_secret_value()


def pair_of(material: Material) -> Pair:
    """Return what is put in place. Raises `DeploymentError` (key_not_made) where its key is elsewhere."""
    return Pair(
        leaf=x509.to_pem(material.chain[:1]),
        issuers=x509.to_pem(material.chain[1:]) if len(material.chain) > 1 else "",
        key=SecretStr(material.private_pem.decode()),
    )


def first_in(pem: str | bytes | None) -> bytes | None:
    """Return the first certificate in a text as DER; None where there is none."""
    text = pem.decode(errors="replace") if isinstance(pem, bytes) else pem or ""
    try:
        return x509.from_pem(text)[0]
    except (Invalid, IndexError):
        return None


def leaf_in(pem: str | bytes | None) -> str | None:
    """Return the fingerprint of the first certificate in a text; None where there is none."""
    found = first_in(pem)
    return x509.fingerprint(found) if found is not None else None


def way_back(material: Material, *, found: str | None, may_do_without: bool, what: str) -> Pair | None:
    """Return the pair that puts back what was found in a place which keeps nothing of what it replaces.

    None where nothing was there, or where it may be lost. Raises `DeploymentError` (no_way_back): the certificate there
    is not the one that we put there last, so nobody here has its key.
    """
    if found is None or found == material.fingerprint:
        return None
    previous = material.previous
    if previous is not None and previous.fingerprint == found:
        return pair_of(previous)
    if may_do_without:
        return None
    raise DeploymentError(
        Failure.NO_WAY_BACK,
        f"{what} holds {found}, which was not put there from here: its key is not known, and it could not be put back.",
        step="stage",
    )


def changed_by_others(what: str, found: str | None, *, step: str) -> DeploymentError:
    """Return the failure where a place holds neither what was there before nor what is put there."""
    return DeploymentError(
        Failure.CHANGED_BY_OTHERS, f"{what} holds the certificate {found or 'none'} meanwhile.", step=step
    )


def must_hold(what: str, found: str | None, *, fingerprint: str) -> None:
    """Raise `DeploymentError` (changed_by_others) where a place does not hold this leaf."""
    if found != fingerprint:
        raise changed_by_others(what, found, step="read back")
