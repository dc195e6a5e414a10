"""What holds for hosts, and what for APIs: the facts that a target is reached by, and the order of what can go wrong."""

from collections.abc import Iterator, Mapping
from typing import Any

from services.provisioner import store
from services.provisioner.connectors import Check
from services.provisioner.connectors.registry import Kind, is_host
from services.provisioner.domain import DeploymentError, Failure
from shared.errors import Fault, Invalid
from shared.ssh import plain_host_key

SSH_PORT = 22
_REACHED = (
    (Failure.OUT_OF_REACH, "permitted", "The operator's settings let it be connected to."),
    (Failure.UNREACHABLE, "reachable", "It answers."),
)
_HOST = (
    *_REACHED,
    (Failure.HOST_KEY_CHANGED, "host_key", "The host proved to have the stored key."),
    (Failure.LOGIN_REFUSED, "login", "The login was accepted."),
)
_API = (*_REACHED, (Failure.LOGIN_REFUSED, "login", "The login was accepted."))


def host_of(
    kind: Kind,
    *,
    host: str | None,
    port: int | None,
    username: str | None,
    host_key: str | None,
    is_new: bool = False,
) -> dict[str, Any]:
    """Return what is said of a host, as its row keeps it.

    Raises `Invalid` where it is said of an API, or where something of a new host is not said.
    """
    given = {"host": host, "port": port, "username": username, "host_key": host_key}
    said = {name: value for name, value in given.items() if value is not None}
    if not is_host(kind):
        _refuse(kind, said, f"a target of the kind {kind.kind} is an API: where it is, its options say")
        return {}
    if is_new:
        said.setdefault("port", SSH_PORT)
        _refuse(kind, given.keys() - said.keys(), f"a target of the kind {kind.kind} is a host, and needs it")
    if host_key is not None:
        said["host_key"] = plain_host_key(host_key)
    return said


def _refuse(kind: Kind, names: Any, message: str) -> None:
    faults = [Fault(pointer=f"/body/{name}", message=message) for name in sorted(names)]
    if faults:
        raise Invalid(
            "; ".join(f"{fault.pointer}: {fault.message}" for fault in faults),
            next_step=f"See GET /v1/target-kinds for what {kind.kind} takes.",
            faults=faults,
        )


def refuse_redirected_secrets(
    kind: Kind,
    row: store.Target,
    *,
    host: Mapping[str, Any],
    options_before: Mapping[str, Any],
    credential: Mapping[str, Any],
) -> None:
    """Raise `Invalid` where a change would send the stored credential to somebody else.

    Else whoever may change a target could have its password sent to a server of their own.
    """
    moved = [*_moved_options(kind, before=options_before, after=row.options)]
    if credential.get("password") is not None:
        # A key only signs, and shows nobody anything.
        moved += [name for name in ("host", "port", "host_key") if _differs(row, host, name)]
    if moved:
        raise Invalid(
            f"{', '.join(moved)} decide who gets to see the credential.",
            next_step="Send the credential again with this change.",
            faults=[Fault(pointer="/body/credential", message="needed with this change")],
        )


def _moved_options(kind: Kind, *, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    old, new = kind.options_type.model_validate(before), kind.options_type.model_validate(after)
    for name in sorted(kind.secrets_go_by):
        if getattr(old, name) != getattr(new, name):
            yield f"options.{name}"


def _differs(row: store.Target, host: Mapping[str, Any], name: str) -> bool:
    return name in host and host[name] != getattr(row, name)


def checks_until(error: DeploymentError | None, kind: Kind) -> list[Check]:
    """Return what was seen to work on the way into a target, up to what did not."""
    checks: list[Check] = []
    for failure, name, text in _HOST if is_host(kind) else _API:
        if error is not None and error.failure is failure:
            return [*checks, Check(name=name, ok=False, text=str(error))]
        if name != "permitted":  # that is only said where it is not so
            checks.append(Check(name=name, ok=True, text=text))
    if error is not None:
        name = "files" if is_host(kind) else "access"
        checks.append(Check(name=name, ok=False, text=str(error)))
    return checks
