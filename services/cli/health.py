"""Asks a process of the platform on this host whether it is well; for whoever supervises it."""

import argparse
import os
import ssl
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

from services.settings import ProgramSettings
from shared.errors import Unavailable
from shared.settings import SettingsSource

PATIENCE = 10
"""Seconds until it must have answered."""


def main(arguments: Sequence[str]) -> None:
    """Do what `everleaf healthy` does, without importing the platform: a supervisor asks often."""
    parser = argparse.ArgumentParser(prog="everleaf healthy")
    parser.add_argument("--port", type=int, default=8400)
    parser.add_argument("--path", default="/livez")
    given = parser.parse_args(arguments)
    check(given.port, given.path)


def check(port: int, path: str, *, host: str = "127.0.0.1") -> None:
    """Return where it answers 200. Raises `Unavailable` with what it answered, and `WrongSetting`."""
    toml_path = Path(os.environ.get("EVERLEAF_CONFIG", "everleaf.toml"))
    settings = SettingsSource.read(os.environ, toml_path=toml_path).load(ProgramSettings)
    try:
        connection = _connection(host, port, settings)
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read(2000).decode(errors="replace")
    except (OSError, HTTPException) as error:
        raise Unavailable(
            f"Nothing answers on {host} port {port}: {error}.", next_step="Look at what the process logs."
        ) from error
    if answer.status != 200:  # noqa: PLR2004 - HTTP's word for well
        raise Unavailable(
            f"{path} answers {answer.status}: {said}", next_step="See what is said not to be ready."
        )


def _connection(host: str, port: int, settings: ProgramSettings) -> HTTPConnection:
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None or key is None:
        return HTTPConnection(host, port, timeout=PATIENCE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Stricter than names and authorities: what answers must show the very certificate of this process.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(certificate, key)
    connection = HTTPSConnection(host, port, timeout=PATIENCE, context=context)
    connection.connect()
    shown = connection.sock.getpeercert(binary_form=True) or b""
    if ssl.DER_cert_to_PEM_cert(shown).split() != _leaf(certificate).split():
        connection.close()
        raise Unavailable(
            f"What answers on {host} port {port} shows another certificate than {certificate}.",
            next_step="Check that the port is that of this process.",
        )
    return connection


def _leaf(path: Path) -> str:
    end = "-----END CERTIFICATE-----"
    text = path.read_text()
    return text[text.index("-----BEGIN") : text.index(end) + len(end)]
