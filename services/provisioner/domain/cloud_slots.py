"""From what a cluster or a cloud says that uses a certificate to a slot of a target, and the kind that has such."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from shared.events.discovery import ConfiguredUse

KindAndSlot = tuple[str, Mapping[str, Any]]
_DISTRIBUTION = re.compile(r"arn:aws[a-z-]*:cloudfront::[0-9]{12}:distribution/([A-Z0-9]+)")
_ENTRY = re.compile(
    r"projects/[^/]+/locations/global/certificateMaps/([a-z0-9-]+)/certificateMapEntries/([a-z0-9-]+)"
)
_SECRET = re.compile(r"secrets/([a-z0-9-]+)/([a-z0-9.-]+)")


def _of_secret(use: ConfiguredUse, path: str) -> KindAndSlot | None:
    """Read `secrets/shop/front`: whatever names it, it is the secret that is changed; what cert-manager keeps it keeps."""
    found = _SECRET.fullmatch(path)
    if found is None or use.product == "cert-manager":
        return None
    return "kubernetes-secret", {"namespace": found[1], "secret": found[2]}


def _of_aws(use: ConfiguredUse, _path: str) -> KindAndSlot | None:
    """Read a listener's ARN or a distribution's: they are made to use a new certificate, and the old one stays beside."""
    found = _DISTRIBUTION.fullmatch(use.file)
    if use.product == "cloudfront" and found is not None:
        return "aws-cloudfront", {"distribution": found[1]}
    if use.product == "elbv2":
        if use.is_default:
            return "aws-elbv2", {"listener": use.file}
        if use.server_names:
            return "aws-elbv2", {"listener": use.file, "use": "sni", "name": use.server_names[0]}
    return None


def _of_google(use: ConfiguredUse, _path: str) -> KindAndSlot | None:
    """Read `projects/P/locations/global/certificateMaps/M/certificateMapEntries/E`."""
    found = _ENTRY.fullmatch(use.file)
    if found is None:
        return None
    return "google-certificate-manager", {"certificate_map": found[1], "entry": found[2]}


CLOUD_SLOTS: Mapping[str, Callable[[ConfiguredUse, str], KindAndSlot | None]] = {
    "kubernetes-secret": _of_secret,
    "acm": _of_aws,
    "iam": _of_aws,
    "google-certificate-manager": _of_google,
}
"""By the format in which discovery tells of them."""
