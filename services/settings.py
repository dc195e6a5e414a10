"""What the program as a whole can be told; each service adds a section of its own."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from shared.settings import CommaList, Settings


def _data_folder() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "everleaf"


class ProgramSettings(Settings):
    """The settings at the top: `EVERLEAF_…`, or above all tables in `everleaf.toml`."""

    data_dir: Path = Field(default_factory=_data_folder)
    """Where databases, the first token and the key-encryption key are kept (made 0700)."""
    bus_url: str | None = None
    """`amqps://user@host:5671/vhost` for RabbitMQ; by default the embedded bus in the data folder."""
    bus_password: SecretStr | None = None
    bus_tls_ca: Path | None = None
    bus_tls_certificate: Path | None = None
    bus_tls_key: Path | None = None
    bus_declares: bool = True
    """Whether a process makes the exchanges and queues on RabbitMQ; `false` where its user may only use those of `everleaf migrate`."""
    retry_after: CommaList = Field(default=["5", "60", "600"])
    """Seconds a failed event waits before each further try; then it is a dead letter."""
    kek_file: Path | None = None
    """64 hexadecimal digits that wrap all secrets; by default `kek` in the data folder."""
    old_kek_files: CommaList = Field(default=[])
    """Key-encryption keys that still open what they once sealed."""
    kek_pkcs11_label: str | None = Field(None, min_length=1, max_length=100)
    """The key in the PKCS#11 token that wraps all secrets, instead of a file; made there where it has none of this name."""
    old_kek_pkcs11_labels: CommaList = Field(default=[])
    """Keys in the token that still open what they once sealed."""
    pkcs11_module: Path | None = None
    """The shared object of a PKCS#11 token (an HSM), as its vendor ships it."""
    pkcs11_token: str = "everleaf"  # noqa: S105 - a label, not a secret
    """The label of the token."""
    pkcs11_pin: SecretStr | None = None
    """The user PIN of the token; best given as `…_PIN_FILE`."""
    tls_certificate: Path | None = None
    """A PEM file, the chain behind the leaf: serve HTTPS with it; read again when it has changed."""
    tls_key: Path | None = None
    """The key that goes with it, in PEM."""
    tls_client_ca: Path | None = None
    """A PEM file: let in only who shows a certificate of this authority, as the gateway does."""
    gateway_url: str = "http://127.0.0.1:8400"
    """Where the services of a production set-up find one another."""
    gateway_tls_ca: Path | None = None
    token_issuer: str = "everleaf"  # noqa: S105 - a name, not a secret
    outbound_allow: CommaList = Field(default=[])
    """Networks beside the public ones that user-given URLs may lead to, as `10.0.0.0/8`."""
    trace_endpoint: str | None = None
    """Where traces are told by OTLP over HTTP, the whole URL: `https://collector.internal:4318/v1/traces`; else they are not."""
    trace_ratio: float = Field(1.0, ge=0, le=1)
    """How many of the traces that begin here are told: 0.1 is every tenth."""
    trace_authorization: SecretStr | None = None
    """What the collector is shown as the header `Authorization`; best given as `…_AUTHORIZATION_FILE`."""
    trace_tls_ca: Path | None = None
    """A PEM file: verify the collector's certificate against this CA."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] | None = None
    """By default text on a terminal, JSON otherwise."""
