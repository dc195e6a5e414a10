"""Who may give which rights to whom: nobody more than they have, and nobody to themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.inventory.domain.credentials import FOR_SERVICES, Kind
from shared.access import ROLES, Principal
from shared.errors import Conflict, Forbidden

ADMIN = "admin"


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What a principal may do, and on which groups; no groups mean everything."""

    kind: Kind
    roles: Sequence[str] = ()
    permissions: Sequence[str] = ()
    groups: Sequence[str] = ()

    @property
    def is_admin_of_everything(self) -> bool:
        """Return whether nobody has more."""
        return ADMIN in self.roles and not self.groups


def check_covers(giver: Principal, rights: Rights) -> None:
    """Raise `Forbidden` where the giver has less than these rights.

    It holds for rights to give and for rights to take away, and for every way to act as their
    holder: who could make an API key for somebody stronger would have given it to themselves.
    """
    lacking = [*_roles_beyond(giver, rights), *_permissions_beyond(giver, rights)]
    if giver.scope is not None and not rights.groups:
        lacking.append("everything instead of groups")
    elif giver.scope is not None:
        lacking += [f"the group {group}" for group in sorted(set(rights.groups) - giver.scope)]
    if lacking:
        raise Forbidden(
            f"{giver.name} does not have what this is about: {', '.join(lacking)}.",
            next_step="Ask an administrator who has it: nobody decides about more than they may themselves.",
        )


def _roles_beyond(giver: Principal, rights: Rights) -> list[str]:
    held = {verb for role in giver.roles for verb in ROLES.get(role, ())}
    return [f"the role {role}" for role in rights.roles if not ROLES.get(role, frozenset()) <= held]


def _permissions_beyond(giver: Principal, rights: Rights) -> list[str]:
    def is_held(permission: str) -> bool:
        # No role has it, so that no person can take a private key; for a service an administrator gives it.
        for_a_service = permission in FOR_SERVICES and rights.kind is Kind.SERVICE and ADMIN in giver.roles
        return giver.may(permission) or (for_a_service and giver.scope is None)

    return [f"the permission {permission}" for permission in rights.permissions if not is_held(permission)]


def check_not_oneself(caller: Principal, principal_id: str) -> None:
    """Raise `Forbidden` where somebody would change their own rights."""
    if caller.id == principal_id:
        raise Forbidden(
            "Nobody changes their own roles, permissions or groups.",
            next_step="Ask another administrator.",
        )


def check_an_admin_is_left(*, others: int) -> None:
    """Raise `Conflict` where no enabled administrator of everything would be left."""
    if others == 0:
        raise Conflict(
            "This is the last administrator of everything.",
            next_step="Make another principal an administrator without groups first.",
        )


def is_in_scope(caller: Principal, groups: Sequence[str]) -> bool:
    """Return whether a principal with these groups is one that the caller administers.

    Other than an object, a principal must be wholly inside: one without groups reaches everything.
    """
    return caller.scope is None or (bool(groups) and caller.scope.issuperset(groups))
