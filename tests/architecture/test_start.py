"""What a process of the platform does not wait for when it starts."""

import subprocess
import sys

import pytest

from tests.architecture.tree import ROOT


@pytest.mark.parametrize(
    "module",
    [
        "alembic",  # for who has something to migrate
        "botocore",  # for who has a target at AWS
        "boto3",
    ],
)
def test_the_provisioner_starts_without_what_few_need(module: str):
    code = f"import services.provisioner.service, sys; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
