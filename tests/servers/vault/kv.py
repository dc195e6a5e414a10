"""The key-value engine, version 2: secrets with versions.

From "KV secrets engine - version 2 (API)": Read secret version (a deleted version is a 404 with its metadata), List
secrets, Read secret metadata, Create/update secret (`cas`: 0 where there is none, else the present version), Delete
latest version of secret.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.servers.vault import Asked, Fault


class KeyValue:
    """One mount of it."""

    unauthenticated: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.secrets: dict[str, list[Mapping[str, Any] | None]] = {}
        """Versions by path; None for a deleted one."""

    def put(self, path: str, secret: Mapping[str, Any] | None) -> None:
        """Add a version."""
        self.secrets.setdefault(path, []).append(secret)

    def answer(self, asked: Asked) -> Mapping[str, Any] | None:
        """Answer what a policy lets somebody ask."""
        kind, _, path = asked.path.partition("/")
        match asked.operation, kind:
            case "read", "data":
                return self._version(path, int(asked.params.get("version", 0)))
            case "read", "metadata" if path in self.secrets:
                return {"current_version": len(self.secrets[path]), "versions": self._versions(path)}
            case "list", "metadata":
                return self._listed(path.strip("/"))
            case "read", "metadata":
                return None
            case "update", "data":
                return self._write(path, asked.body)
            case "delete", "data" if path in self.secrets:
                self.secrets[path][-1] = None
                return {}
            case "read" | "list", _:
                raise Fault(404, "1 error occurred:\n\t* unsupported path\n\n")
        raise Fault(405, "1 error occurred:\n\t* unsupported operation\n\n")

    def _version(self, path: str, version: int) -> Mapping[str, Any] | None:
        versions = self.secrets.get(path, [])
        number = version or len(versions)
        if not 1 <= number <= len(versions):
            return None
        secret = versions[number - 1]
        if secret is None:
            raise Fault(404)
        return {"data": secret, "metadata": {"version": number, **self._versions(path)[str(number)]}}

    def _write(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        present = len(self.secrets.get(path, []))
        cas = (body.get("options") or {}).get("cas")
        if not isinstance(body.get("data"), dict):
            raise Fault(400, "no data provided")
        if cas is not None and cas != present:
            raise Fault(400, "check-and-set parameter did not match the current version")
        self.put(path, body["data"])
        return {"version": present + 1}

    def _versions(self, path: str) -> dict[str, Mapping[str, Any]]:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        return {
            str(number): {
                "created_time": now,
                "deletion_time": "" if secret is not None else now,
                "destroyed": False,
            }
            for number, secret in enumerate(self.secrets[path], 1)
        }

    def _listed(self, folder: str) -> Mapping[str, Any] | None:
        prefix = f"{folder}/" if folder else ""
        inner = [path.removeprefix(prefix) for path in self.secrets if path.startswith(prefix)]
        keys = sorted({f"{name.split('/')[0]}/" if "/" in name else name for name in inner})
        return {"keys": keys} if keys else None
