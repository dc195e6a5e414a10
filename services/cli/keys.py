"""Makes API keys outside of the platform, for an installation that gives its services their keys."""

import secrets

from services.inventory.domain.credentials import RANDOM_BYTES, api_key


def print_api_key() -> None:
    """Print a fresh one."""
    print(api_key(secrets.token_bytes(RANDOM_BYTES)))  # noqa: T201 - this is where a program speaks
