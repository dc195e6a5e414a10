"""The administrator's first token and the services' API keys, as files (0600) in the data folder."""

import os
import tempfile
from pathlib import Path


class CredentialFiles:
    """The files `admin.token` and `keys/<service>.key` of a data folder."""

    def __init__(self, data_dir: Path) -> None:
        self._token = data_dir / "admin.token"
        self._keys = data_dir / "keys"

    def admin_token(self) -> str | None:
        """Return the administrator's token, or None where there is none."""
        return _read(self._token)

    def write_admin_token(self, token: str) -> None:
        """Keep a new token."""
        _write(self._token, token)

    def api_key(self, service: str) -> str | None:
        """Return the API key of a service, or None where there is none."""
        return _read(self._keys / f"{service}.key")

    def write_api_key(self, service: str, key: str) -> None:
        """Keep a new API key."""
        self._keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self._keys / f"{service}.key", key)


def _read(path: Path) -> str | None:
    return path.read_text().strip() if path.exists() else None


def _write(path: Path, secret: str) -> None:
    """Write beside and rename: a reader finds the old one or the new one, never half of it."""
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
    Path(beside).replace(path)
