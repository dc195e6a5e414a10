"""A change names the version that it is made of."""

from shared import errors


def etag(version: int) -> str:
    """Return the `ETag` of a row's version."""
    return f'"{version}"'


def check_if_match(header: str | None, *, version: int) -> None:
    """Raise `Stale` where `If-Match` names other versions than the present one (RFC 9110 §13.1.1)."""
    named = {part.strip() for part in (header or "*").split(",")}
    if not named & {"*", etag(version)}:
        raise errors.Stale(
            "It was changed since you read it.", next_step="Read it again, and repeat the change on that."
        )
