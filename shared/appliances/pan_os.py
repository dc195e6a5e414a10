"""The XML API of PAN-OS: questions about the configuration, and its refusals in the words of `shared.errors`.

The key goes in the `X-PAN-KEY` header and never into a URL. What the device sends of private keys, pre-shared keys and
passwords (each under its master key) is dropped while the answer is parsed: no element with such a name keeps its text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from xml.etree.ElementTree import (  # nosec: defusedxml parses, these only hold what it found
    Element,
    ParseError,
    TreeBuilder,
)
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from shared.appliances.refusals import ChangeRefused, InUse, Locked, Mismatch, NoSpace
from shared.errors import EverleafError, Refused, Unavailable
from shared.web import Answer, LoginRefused, NotPermitted, WebApi, refuse_other_than_success

PATH = "/api/"
_SECRET = re.compile(
    r"private-key|pre-shared-key|phash|.*passphrase|.*password|.*secret|auth-key|privpwd|authpwd"
)
_NOT_PRESENT, _BAD_XPATH, _UNAUTHORISED, _TIMED_OUT = "7", "6", "16", "22"
_SAID = 200
_CHANGES: Mapping[type[EverleafError], tuple[tuple[str, ...], tuple[str, ...], str]] = {
    Locked: (("locked by", "lock for scope"), (), "Have the lock on the configuration released."),
    InUse: (("references from",), ("10",), "See what refers to it."),
    Mismatch: (("mismatch", "do not match"), (), "Renew again."),
    NoSpace: (("no space left", "disk quota"), (), "Free some space on the device."),
    ChangeRefused: ((), ("8", "12"), "Look at the configuration of the device."),
}
"""Why a change is not taken: by words in the answer, and by codes (8 not unique, 10 reference not zero, 12 invalid object)."""
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
        return await self._ask({"type": "config", "action": "get", "xpath": xpath}, what=xpath)

    async def running(self, xpath: str) -> Element | None:
        """Return what is at an XPath of the configuration that is in force."""
        return await self._ask({"type": "config", "action": "show", "xpath": xpath}, what=xpath)

    async def change(self, action: str, xpath: str, element: str | None = None) -> None:
        """Change the candidate configuration: `set`, `edit` or `delete`."""
        asked = {"type": "config", "action": action, "xpath": xpath}
        await self._ask(asked if element is None else {**asked, "element": element}, what=xpath)

    async def operate(self, command: str, *, vsys: str | None = None) -> Element | None:
        """Run an operational command, as XML."""
        asked = {"type": "op", "cmd": command}
        return await self._ask(asked if vsys is None else {**asked, "vsys": vsys}, what=_called(command))

    async def import_file(self, category: str, content: bytes, **asked: str) -> None:
        """Import a file into the candidate configuration; what is asked goes beside it in the form, and not in the URL."""
        answer = await self._web.answer(
            "POST",
            PATH,
            params={"type": "import"},
            data={"category": category, **asked},
            files={"file": (category, content)},
            headers=self._headers,
        )
        _result(answer, what=f"import of a {category}")

    async def commit(self, *, administrator: str) -> str | None:
        """Begin to put in force what an administrator has changed; return the job, or None where nothing was changed."""
        cmd = f"<commit><partial><admin><member>{escape(administrator)}</member></admin></partial></commit>"
        result = await self._ask({"type": "commit", "action": "partial", "cmd": cmd}, what="commit")
        return result.findtext("job") if result is not None else None

    async def job(self, number: str) -> "Job":
        """Return how far a job has come."""
        result = await self.operate(f"<show><jobs><id>{escape(number)}</id></jobs></show>")
        job = result.find("job") if result is not None else None
        if job is None:
            raise Unavailable(f"There is no job {number}.", next_step="It is tried again by itself.")
        lines = [text for each in job.iterfind("details/line") for text in each.itertext()]
        return Job(
            is_over=job.findtext("status") == "FIN",
            is_ok=job.findtext("result") == "OK",
            said=_line(" ".join(lines)),
        )

    async def _ask(self, asked: dict[str, str], *, what: str) -> Element | None:
        answer = await self._web.answer("POST", PATH, data=asked, headers=self._headers)
        return _result(answer, what=what)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Work that the device does by itself."""

    is_over: bool
    is_ok: bool
    said: str


def _called(command: str) -> str:
    """Return what a command is called: its elements, without what they hold."""
    return " ".join(re.findall(r"<([a-z-]+)>", command))


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
    for kind, (words, codes, next_step) in _CHANGES.items():
        if code in codes or any(word in said.lower() for word in words):
            return kind(text, next_step=next_step)
    if code in ("403", "401", _TIMED_OUT):
        return LoginRefused(text, next_step="Store a new credential: this one is wrong or has expired.")
    if code in ("400", "1", _BAD_XPATH, "17", "18"):
        return Refused(
            text, next_step="This version of PAN-OS is not known: tell its vendor's name for it in an issue."
        )
    return Unavailable(text, next_step="It is tried again by itself.")


def _plain(response: Element) -> str:
    """Return what the device says of an error, as one plain line."""
    message = response.find(".//msg")
    return _line(" ".join(message.itertext()) if message is not None else "")


def _line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:_SAID].rstrip(".")


def quoted(name: str) -> str:
    """Return a name as an XPath literal; XPath 1.0 knows no escapes. Raises `Refused` for what cannot be one."""
    if "'" not in name:
        return f"'{name}'"
    if '"' not in name:
        return f'"{name}"'
    raise Refused("A name has both kinds of quotation marks.", next_step="Rename it on the device.")
