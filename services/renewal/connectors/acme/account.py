"""Our account with an ACME authority (RFC 8555 §7.3): made known, and given a fresh key; both may be done twice."""

from collections.abc import Sequence

from services.renewal.connectors.acme.jose import AccountKey, Json, bound
from services.renewal.connectors.acme.problems import AcmeProblem
from services.renewal.connectors.acme.session import Session
from shared.errors import Refused

_OF_A_SIGNATURE = ("malformed", "unauthorized")
"""What authorities call a request that is not signed by the account's key; the RFC names no type for it."""


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
        try:
            url = (await self._session.directory()).new_account
            payload: Json = {"termsOfServiceAgreed": True, "contact": list(self._contacts)}
            if self._key_id is not None and self._mac_key is not None:
                payload["externalAccountBinding"] = bound(
                    self._session.key.jwk, key_id=self._key_id, mac_key=self._mac_key, url=url
                )
            return (await self._session.post(url, payload)).location
        except AcmeProblem as error:
            raise error.error() from error

    async def is_wrong_key(self, problem: AcmeProblem) -> bool:
        """Return whether a request had this problem because the account has another key by now."""
        return problem.problem.kind in _OF_A_SIGNATURE and not await self.has_key(self._session.key)

    async def has_key(self, key: AccountKey) -> bool:
        """Return whether the authority takes this key for the account's. Raises `Refused` or `NotNow`."""
        present, self._session.key = self._session.key, key
        try:
            await self._session.get(self._session.kid or "")
        except AcmeProblem as error:
            if error.problem.kind in _OF_A_SIGNATURE:
                return False
            if error.problem.kind != "accountDoesNotExist":
                raise error.error() from error
        finally:
            self._session.key = present
        return True

    async def change_key(self, fresh: AccountKey) -> None:
        """Give the account a fresh key (RFC 8555 §7.3.5). Raises `Refused` or `NotNow`."""
        try:
            url = (await self._session.directory()).key_change
            if url is None:
                raise Refused(
                    "The authority does not let accounts change their key.", next_step="Make a new authority."
                )
            claim = {"account": self._session.kid, "oldKey": self._session.key.jwk}
            await self._session.post(url, fresh.sign(claim, protected={"jwk": fresh.jwk, "url": url}))
        except AcmeProblem as error:
            # It may have been done before we were interrupted: then the present key is no longer known.
            if not await self.has_key(fresh):
                raise error.error() from error
        self._session.key = fresh
