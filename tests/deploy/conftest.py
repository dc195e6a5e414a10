"""One installation for all that is looked at in it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.installation import Installation, installed


@pytest.fixture(scope="package")
def installation() -> Iterator[Installation]:
    """The platform, installed as `deploy/` says."""
    # Not in pytest's own folder: that is closed to the account PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="everleaf-installation-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with installed(Path(folder)) as made:
            yield made
