"""What a certificate's extensions say, whoever has written them; and text of strangers that every database takes."""

from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

E = TypeVar("E", bound=x509.ExtensionType)
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    """Return an extension where it is there. Raises `ValueError` where the extensions cannot be read."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except _UNREADABLE as error:
        raise ValueError(str(error)) from error


def is_authority(certificate: x509.Certificate) -> bool:
    """Return whether a certificate says that it may issue others."""
    try:
        constraints = extension(certificate, x509.BasicConstraints)
    except ValueError:
        return False
    return constraints is not None and constraints.ca


def access_urls(certificate: x509.Certificate, method: x509.ObjectIdentifier) -> tuple[str, ...]:
    """Return the HTTP addresses of one access method; of others we speak no protocol."""
    try:
        access = extension(certificate, x509.AuthorityInformationAccess)
    except ValueError:
        return ()
    found = [
        each.access_location.value
        for each in access or ()
        if each.access_method == method and isinstance(each.access_location, x509.UniformResourceIdentifier)
    ]
    return tuple(url for url in found if is_http(url))


def is_http(url: str) -> bool:
    """Return whether an address is one that we follow."""
    return url.lower().startswith(("http://", "https://"))


def storable(text: str, *, most: int) -> str:
    """Return text that every database takes: no NUL, and no half of a character that BMPString can hold."""
    return text[:most].encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
