"""The store, on either database."""

from tests.provisioner.actions.conftest import database

__all__ = ["database"]
