"""A bill of cryptographic materials: certificates, keys, algorithms and protocols as CycloneDX 1.7 or 1.6 writes them.

The parts come one by one, so that a document of any length is made in little memory. The same inventory gives the same
bytes, but for the serial number and the timestamp.
"""

from services.inventory.domain.cbom.algorithms import key_algorithm, signature_algorithm
from services.inventory.domain.cbom.assets import (
    Key,
    Protocol,
    certificate,
    depends,
    key,
    protocols,
    suites_of,
)
from services.inventory.domain.cbom.document import MEDIA_TYPE, Spec, end, head, joined, next_list

__all__ = [
    "MEDIA_TYPE",
    "Key",
    "Protocol",
    "Spec",
    "certificate",
    "depends",
    "end",
    "head",
    "joined",
    "key",
    "key_algorithm",
    "next_list",
    "protocols",
    "signature_algorithm",
    "suites_of",
]
