"""Keystores that a host itself puts a key into that was made there: what is read of them is never the key.

PKCS#12 by the host's openssl, Java's own formats by its keytool beside. Passwords go by standard input into the environment of
the one command: neither is seen by others on the host, as command lines are.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509

from services.provisioner.connectors.host_keys import HostKey
from services.provisioner.connectors.keystores import (
    ALIAS,
    all_passwords,
    first_password,
    refuse_loss,
    refused,
)
from services.provisioner.connectors.ssh import Ran, Session
from services.provisioner.domain import DeploymentError, Failure

_MOST = 256_000
"""Characters of all the certificates of a keystore."""
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_FRIENDLY = re.compile(r"friendlyName: (?P<name>.+)")
_WORD = "IFS= read -r EVERLEAF_WORD; export EVERLEAF_WORD; umask 077; "
# Where a Java is that is not in the path of the account.
_FIND_JAVA = (
    'for each in "$JAVA_HOME"/bin /usr/lib/jvm/*/bin /opt/java/*/bin; do '
    '[ -x "$each/keytool" ] && PATH="$PATH:$each"; done; '
)
_KEYTOOL = "keytool -J-Duser.language=en"


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a keystore holds: the entry that has a key, its certificate, and the password that opens it."""

    alias: str | None
    leaf: x509.Certificate | None
    password: str = field(repr=False)


class HostStore:
    """A keystore on a host; `path` has its links followed."""

    def __init__(self, session: Session, *, path: str, kind: str, passwords: Sequence[str]) -> None:
        """`kind` is pkcs12, jks or jceks."""
        self._session = session
        self._path = path
        self._kind = kind
        self._passwords = passwords

    async def look(self, *, alias: str | None) -> Held | None:
        """Return what is there, of an entry or of the first that has a key; None where there is no store.

        Raises `DeploymentError` (store_refused) where no password opens it, or more is in it than would be kept.
        """
        await self._must_have_tools()
        if await self._session.attributes(self._path) is None:
            return None
        for password in all_passwords(self._passwords):
            ran = await self._session.script(
                _WORD + _FIND_JAVA + self._listing(), given=f"{password}\n", keep=_MOST
            )
            if ran.status == 0:
                read = _read_pkcs12 if self._kind == "pkcs12" else _read_java
                return read(ran.output, alias=alias, password=password)
        raise refused("No password that the target has opens the keystore that is there.")

    async def _must_have_tools(self) -> None:
        tools = ["openssl"] if self._kind == "pkcs12" else ["openssl", "keytool"]
        for tool in tools:
            ran = await self._session.script(f"{_FIND_JAVA}command -v {tool}")
            if ran.status != 0:
                reason = f"There is no {tool} on the host, which is what puts a key into {self._path}."
                raise DeploymentError(Failure.KEY_NOT_MADE, reason, step="make key")

    def _listing(self) -> str:
        quoted = shlex.quote(self._path)
        if self._kind != "pkcs12":
            return f"{_KEYTOOL} -list -rfc -storetype {self._kind} -keystore {quoted} -storepass:env EVERLEAF_WORD"
        # What older Javas have made, OpenSSL 3 opens only when it is told to.
        options = f"-in {quoted} -passin env:EVERLEAF_WORD -nokeys"
        return f"openssl pkcs12 {options} 2>/dev/null || openssl pkcs12 -legacy {options}"

    async def join(
        self, key: HostKey, certificates: bytes, *, to: str, alias: str | None, held: Held | None
    ) -> None:
        """Make a new store of the one that is there, certificates (PEM) and this key. Raises `DeploymentError`."""
        name = shlex.quote(alias or (held.alias if held is not None else None) or ALIAS)
        password = held.password if held is not None else first_password(self._passwords)
        made = to if self._kind == "pkcs12" else key.packed
        script = _WORD + _packing(key.path, name=name, to=made)
        if self._kind != "pkcs12":
            keep = f"cp -- {shlex.quote(self._path)} {shlex.quote(to)}" if held is not None else "true"
            script = f"{_FIND_JAVA}{script} && {keep} && {self._importing(made, name=name, to=to)}"
            script += f"; status=$?; rm -f -- {shlex.quote(made)}; exit $status"
        ran = await self._session.script(script, given=f"{password}\n{certificates.decode()}")
        if ran.status != 0:
            raise _not_joined(key.path, to, ran)

    def _importing(self, packed: str, *, name: str, to: str) -> str:
        source = f"-srckeystore {shlex.quote(packed)} -srcstoretype pkcs12 -srcstorepass:env EVERLEAF_WORD"
        target = (
            f"-destkeystore {shlex.quote(to)} -deststoretype {self._kind} -deststorepass:env EVERLEAF_WORD"
        )
        # Without a question an entry of the same name is replaced, and the others stay.
        entry = f"-srcalias {name} -destalias {name} -destkeypass:env EVERLEAF_WORD"
        return f"{_KEYTOOL} -importkeystore -noprompt {source} {target} {entry}"


def _packing(key: str, *, name: str, to: str) -> str:
    """Return the command that makes PKCS#12 of a key and the certificates on its standard input."""
    ciphers = "-keypbe AES-256-CBC -certpbe AES-256-CBC -macalg sha256"
    quoted = shlex.quote(to)
    return (
        f"openssl pkcs12 -export -inkey {shlex.quote(key)} -name {name} {ciphers} "
        f"-passout env:EVERLEAF_WORD -out {quoted} && {{ sync {quoted} || sync; }}"
    )


def _read_pkcs12(listed: str, *, alias: str | None, password: str) -> Held:
    """Read what openssl has printed: attributes before each certificate."""
    bags = [bag for bag in listed.split("Bag Attributes") if _CERTIFICATE.search(bag)]
    own = next((bag for bag in bags if "localKeyID" in bag), None)
    others = [_certificate(bag) for bag in bags if bag is not own]
    leaf = _certificate(own) if own is not None else None
    refuse_loss(leaf, others)
    named = _FRIENDLY.search(own or "")
    return Held(alias=alias or (named["name"].strip() if named else None), leaf=leaf, password=password)


def _read_java(listed: str, *, alias: str | None, password: str) -> Held:
    """Read what keytool has printed: each entry with its name and its certificates."""
    entries = [entry for entry in listed.split("Alias name: ")[1:] if "Entry type: PrivateKeyEntry" in entry]
    for entry in entries:
        name = entry.partition("\n")[0].strip()
        if alias is None or name.lower() == alias.lower():
            return Held(alias=name, leaf=_certificate(entry), password=password)
    return Held(alias=alias, leaf=None, password=password)


def _certificate(text: str) -> x509.Certificate:
    found = _CERTIFICATE.search(text)
    return x509.load_pem_x509_certificate((found[0] if found else "").encode())


def _not_joined(key: str, to: str, ran: Ran) -> DeploymentError:
    reason = f"{key} and its certificate could not be joined in {to}: exit {ran.status}. {ran.output[-500:]}"
    return DeploymentError(Failure.WRITE_FAILED, reason, step="stage")
