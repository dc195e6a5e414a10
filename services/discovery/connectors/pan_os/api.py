"""The XML API of PAN-OS: questions about the configuration, and its refusals in the words of `shared.errors`.

The key goes in the `X-PAN-KEY` header and never into a URL. What the device sends of private keys, pre-shared keys and
passwords (each under its master key) is dropped while the answer is parsed: no element with such a name keeps its text.
"""

import re
from http import HTTPStatus
from xml.etree.ElementTree import (  # nosec: defusedxml parses, these only hold what it found
    Element,
    ParseError,
    TreeBuilder,
)

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from services.discovery.connectors.web import Answer, NotPermitted, WebApi, refuse_other_than_success
from shared.errors import Refused, Unavailable

PATH = "/api/"
_SECRET = re.compile(
    r"private-key|pre-shared-key|phash|.*passphrase|.*password|.*secret|auth-key|privpwd|authpwd"
)
_NOT_PRESENT, _BAD_XPATH, _UNAUTHORISED, _TIMED_OUT = "7", "6", "16", "22"
_SAID = 200
_DEEPEST = 60


class _Discreet(TreeBuilder):
    """Builds a tree in which elements that hold secrets are empty. Raises `ParseError` where it is deeper than any is."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._secret_at = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ParseError
        if not self._secret_at and _SECRET.fullmatch(tag):
            self._secret_at = self._depth
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        if self._secret_at == self._depth:
            self._secret_at = 0
        self._depth -= 1
        return super().end(tag)

    def data(self, data: str, /) -> None:
        if not self._secret_at:
            super().data(data)


class PanApi:
    """The API of one firewall or Panorama."""

    def __init__(self, web: WebApi, *, key: str) -> None:
        self._web = web
        self._headers = {"X-PAN-KEY": key}

    async def configuration(self, xpath: str) -> Element | None:
        """Return what is at an XPath, as `result` holds it; None where there is nothing. Raises as `WebApi` does."""
        asked = {"type": "config", "action": "get", "xpath": xpath}
        answer = await self._web.answer("POST", PATH, data=asked, headers=self._headers)
        return _result(answer, what=xpath)


async def make_key(web: WebApi, *, username: str, password: str) -> str:
    """Have the device make the key of an account. Raises `Refused` where it does not let it in."""
    asked = {"type": "keygen", "user": username, "password": password}
    result = _result(await web.answer("POST", PATH, data=asked), what="keygen")
    key = (result.findtext("key") if result is not None else None) or ""
    # It becomes a header: no line may end in it.
    if not key.isascii() or not key.isprintable() or not key:
        raise Unavailable("keygen: there is no key in the answer.", next_step="Check the address.")
    return key


def _result(answer: Answer, *, what: str) -> Element | None:
    response = _parsed(answer, what=what)
    status, code = response.get("status", ""), response.get("code", "")
    if status == "success":
        return None if code == _NOT_PRESENT else response.find("result")
    raise _refusal(_plain(response), what=what, code=code, is_unauthorised=status == "unauth")


def _parsed(answer: Answer, *, what: str) -> Element:
    parser = DefusedXMLParser(target=_Discreet(), forbid_dtd=True)
    try:
        parser.feed(answer.body)
        root = parser.close()
    except (ParseError, DefusedXmlException, ValueError):
        root = None
    if not isinstance(root, Element) or root.tag != "response":
        refuse_other_than_success(answer, what)
        raise Unavailable(
            f"{what}: the answer is not that of the XML API.",
            next_step="Check that the address is a PAN-OS device's.",
        )
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        refuse_other_than_success(answer, what)
    return root


def _refusal(said: str, *, what: str, code: str, is_unauthorised: bool) -> Exception:
    """Return what a failure means, by "PAN-OS XML API Error Codes"."""
    text = f"{what}: {said or 'refused'} (code {code or 'none'})."
    if is_unauthorised or code == _UNAUTHORISED or "not authorized" in said.lower():
        return NotPermitted(
            text, next_step="Give the role of the account the XML API right to the configuration."
        )
    if code in ("403", "401", _TIMED_OUT):
        return Refused(text, next_step="Store a new credential: this one is wrong or has expired.")
    if code in ("400", "1", _BAD_XPATH, "17", "18"):
        return Refused(
            text, next_step="This version of PAN-OS is not known: tell its vendor's name for it in an issue."
        )
    return Unavailable(text, next_step="It is tried again by itself.")


def _plain(response: Element) -> str:
    """Return what the device says of an error, as one plain line."""
    message = response.find(".//msg")
    text = " ".join(message.itertext()) if message is not None else ""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:_SAID].rstrip(".")


def quoted(name: str) -> str:
    """Return a name as an XPath literal; XPath 1.0 knows no escapes. Raises `Refused` for what cannot be one."""
    if "'" not in name:
        return f"'{name}'"
    if '"' not in name:
        return f'"{name}"'
    raise Refused("A name has both kinds of quotation marks.", next_step="Rename it on the device.")
