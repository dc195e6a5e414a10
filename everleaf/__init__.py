"""A typed client of a running Everleaf, for programs: it needs `httpx` and nothing else of the platform.

    from everleaf import Client
    from everleaf.contracts import inventory

    with Client("https://everleaf.example.com", token) as client:
        for certificate in client.each(inventory.list_certificates(query="expires < 30d")):
            print(certificate["not_after"], certificate["subject"])

A function in `everleaf.contracts` says what is asked; `Client` and `AsyncClient` ask it. Answers are
the JSON documents of the contracts, and a type checker knows their fields.
"""

from everleaf.calls import Answer, Call, Listing, Page
from everleaf.client import AsyncClient, Client
from everleaf.problems import (
    ClientError,
    Conflict,
    EndedOtherwise,
    Forbidden,
    NotAccepted,
    NotFound,
    NotInTime,
    NotSafe,
    NotValid,
    Problem,
    Stale,
    TooMany,
    Unavailable,
    Unreachable,
)
from everleaf.retries import Retries
from everleaf.waiting import Wait

__all__ = [
    "Answer",
    "AsyncClient",
    "Call",
    "Client",
    "ClientError",
    "Conflict",
    "EndedOtherwise",
    "Forbidden",
    "Listing",
    "NotAccepted",
    "NotFound",
    "NotInTime",
    "NotSafe",
    "NotValid",
    "Page",
    "Problem",
    "Retries",
    "Stale",
    "TooMany",
    "Unavailable",
    "Unreachable",
    "Wait",
]
