"""Makes our account known to an ACME authority (RFC 8555 §7.3); doing it twice gives the same account."""

from collections.abc import Sequence

from services.renewal.connectors.acme_session import AcmeProblem, Session
from services.renewal.connectors.jose import Json, bound


class Account:
    """The account of one authority."""

    def __init__(
        self, session: Session, *, contacts: Sequence[str], key_id: str | None, mac_key: bytes | None
    ) -> None:
        self._session = session
        self._contacts = contacts
        self._key_id = key_id
        self._mac_key = mac_key

    @property
    def is_registered(self) -> bool:
        """Return whether the authority has given the account a URL."""
        return self._session.kid is not None

    @property
    def kid(self) -> str | None:
        """The account's URL."""
        return self._session.kid

    @kid.setter
    def kid(self, value: str | None) -> None:
        self._session.kid = value

    async def register(self) -> str:
        """Return the account's URL, made if it is not there yet. Raises `Refused` or `NotNow`."""
        url = (await self._session.directory()).new_account
        payload: Json = {"termsOfServiceAgreed": True, "contact": list(self._contacts)}
        if self._key_id is not None and self._mac_key is not None:
            payload["externalAccountBinding"] = bound(
                self._session.key.jwk, key_id=self._key_id, mac_key=self._mac_key, url=url
            )
        try:
            return (await self._session.post(url, payload)).location
        except AcmeProblem as error:
            raise error.problem.error(retry_after=error.retry_after) from error
