"""What a contract says of every operation beside what FastAPI reads off the code, in one place.

How it fails (`failures`), what a caller needs and which objects it is about, and an example of what is sent and of what
comes back (`complete`). An operation says more of itself with `responses=may_fail(...)`, with `examples` on a field, or with
`json_schema_extra` on a model whose fields depend on one another.
"""

from collections.abc import Iterator, Mapping
from http import HTTPMethod, HTTPStatus
from typing import Any, get_args

from pydantic import BaseModel

from shared.examples import Examples

Json = dict[str, Any]

PROBLEM = "application/problem+json"
_JSON = "application/json"
_WRITING = {HTTPMethod.POST, HTTPMethod.PUT, HTTPMethod.PATCH, HTTPMethod.DELETE}
MEANING: Mapping[int, str] = {
    400: "The body is not JSON.",
    401: "There is no token, or it is not accepted.",
    403: "The caller may not do this.",
    404: "There is no such thing, or none that the caller may see.",
    409: "It contradicts what is already there.",
    412: "It was changed since the caller read it.",
    413: "The body is larger than 4 MiB.",
    422: "The request cannot be done as asked.",
    429: "It was tried too often.",
    502: "A system outside said no.",
    503: "A part that is needed does not answer; try again.",
}
"""What each failure means, wherever an operation says nothing else."""
_TITLES: Mapping[int, tuple[str, str, str]] = {
    400: ("not-json", "The body is not JSON", "Correct the fields listed in `errors` and send it again."),
    401: ("unauthenticated", "A valid token is needed", "Get a token, and send it as bearer."),
    403: ("forbidden", "This is not allowed", "Ask an administrator for a role that grants it."),
    404: ("not-found", "Not found", "Look at the list for what there is."),
    409: ("conflict", "This contradicts what is already there", "Read it again, and decide anew."),
    412: ("stale", "It was changed in the meantime", "Read it again, and repeat the change on that."),
    413: ("too-large", "The body is too large", "Send it in several requests."),
    422: ("invalid", "The request is not valid", "Correct the fields listed in `errors` and send it again."),
    429: ("too-many", "This was tried too often", "Wait for the seconds in `Retry-After`."),
    502: ("refused", "An outside system refused", "Correct what it says, and try again."),
    503: ("unavailable", "An outside system did not answer", "Try again shortly."),
}


class Problem(BaseModel):
    """A problem document (RFC 9457); `next_step` says what to do about it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    next_step: str
    trace_id: str
    errors: list[dict[str, str]] = []


_PARAMETERS: Mapping[str, str] = {
    "accept": "The media type that is wanted.",
    "address": "Only what is at this address.",
    "asked": "The request, DER in base64.",
    "at": "As it was then; now where it is left out.",
    "authorization": "`Bearer`, and an API key or a token.",
    "code": "What the provider gives for a token.",
    "enterprise": "The private enterprise number that the objects are under.",
    "error": "Why the provider refuses.",
    "expires_before": "Only what expires before then.",
    "fingerprint": "The SHA-256 of a certificate, in hexadecimal.",
    "format": "The form of the file.",
    "group": "Only what is in this group.",
    "host": "A name or an address.",
    "if-match": "The `ETag` that the change is meant for.",
    "is_ready": "Only what is ready, or only what is not.",
    "iss": "Who the provider says it is.",
    "key": "The key of a place.",
    "limit": "How many at most.",
    "name": "What it is called.",
    "port": "A TCP port.",
    "reassign_to": "The team that gets what it owned.",
    "state": "Only what is in this state.",
}
"""What a parameter of this name means, wherever it says nothing itself."""


def may_fail(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Declare, for `responses`, failures of an operation that its kind does not tell."""
    return {code: {"model": Problem, "description": MEANING[code]} for code in codes}


def failures(
    path: str, methods: set[str], *, hints: Mapping[str, Any], extra: Mapping[str, Any]
) -> dict[int | str, dict[str, Any]]:
    """Return the failures that an operation of this kind has: by its path, its method, and what it takes.

    `hints` are the types of the endpoint's parameters, `extra` what the operation says of itself in the contract.
    """
    is_public = "x-public" in extra
    is_json = any(_is_model(hint) for name, hint in hints.items() if name != "return")
    has_body = bool(methods & _WRITING) and (is_json or "requestBody" in extra)
    codes = {
        400: has_body and is_json,
        401: not is_public,
        403: not is_public,
        404: "{" in path or (has_body and not is_public),  # a body may name what the caller may not see
        409: bool(methods & _WRITING) and not is_public,
        412: "if_match" in hints,
        413: has_body,
        422: True,
        503: True,
    }
    return may_fail(*(code for code, happens in codes.items() if happens))


def _is_model(hint: Any) -> bool:
    return any(isinstance(each, type) and issubclass(each, BaseModel) for each in (hint, *get_args(hint)))


def complete(document: Json, *, problem: str) -> None:
    """Complete a document in place; `problem` is the name of the schema of problem documents."""
    document["info"]["description"] = _about(document)
    document["info"]["contact"] = {"name": "The operators of this platform"}
    document["tags"] = _tags(document)
    _drop_defaults_that_are_none(document)
    examples = Examples(document)
    for path, method, operation in operations(document):
        operation["description"] = _description(path, method, operation)
        for parameter in operation.get("parameters", ()):
            parameter.setdefault("description", _meant(parameter))
        _show_request(operation, examples)
        for code, answer in operation["responses"].items():
            if int(code) >= HTTPStatus.BAD_REQUEST:
                operation["responses"][code] = _failure(document, int(code), answer, schema=problem)
            else:
                _show_answer(answer, operation, examples)


def resolved(document: Json, node: Json) -> Json:
    """Return what a node is, or what its `$ref` into the same document leads to."""
    if "$ref" not in node:
        return node
    found: Any = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return resolved(document, found)


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield path, method and operation of each route."""
    for path, item in document.get("paths", {}).items():
        for method, operation in item.items():
            yield path, method, operation


def _about(document: Json) -> str:
    return (
        f"{document['info']['summary']} Every failure is a problem document (RFC 9457) whose `next_step` says what to do. "
        "Lists are paged by `cursor`; what the caller may not see is answered like what is not there."
    )


def _tags(document: Json) -> list[Json]:
    names = {tag for _, _, operation in operations(document) for tag in operation.get("tags", ())}
    return [{"name": name, "description": document["info"]["summary"]} for name in sorted(names)]


def needs(operation: Json) -> str:
    """Return what a caller needs: the permission in backticks, or why it is open."""
    permission = operation.get("x-permission")
    return f"`{permission}`" if permission else f"no token: {operation['x-public']}"


def objects(path: str, method: str, operation: Json) -> str:
    """Return which objects an operation is about, for a caller with groups; nothing where it is public."""
    if "x-public" in operation:
        return ""
    if operation.get("x-scope") == "everything":
        return "callers without groups only: 403 for others"
    if "{" in path:
        return "one in the caller's groups: 404 for others"
    if method == "get":
        return "what is in the caller's groups"
    return "names and makes things in the caller's groups"


def _description(path: str, method: str, operation: Json) -> str:
    said = [
        operation.get("description") or f"{operation['summary']}.",
        f"Needs {needs(operation)}.",
    ]
    about = objects(path, method, operation)
    if about:
        said.append(f"About {about}.")
    return " ".join(said)


def _meant(parameter: Json) -> str:
    name = parameter["name"]
    words = name.removesuffix("_id").replace("_", " ")
    if name in _PARAMETERS:
        return _PARAMETERS[name]
    if parameter["in"] == "path":
        return f"The id of one {words}."
    return f"Only what is of this {words}."


def _drop_defaults_that_are_none(document: Json) -> None:
    """Leave out the default of a field that a change may leave as it is: an empty text there is nothing to send."""
    for schema in document["components"]["schemas"].values():
        for field in schema.get("properties", {}).values():
            if field.get("default") == "" and field.get("minLength", 0) > 0:
                del field["default"]


def _show_request(operation: Json, examples: Examples) -> None:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if not {"example", "examples"} & content.keys():
            content["example"] = examples.asked(content["schema"])


def _show_answer(answer: Json, operation: Json, examples: Examples) -> None:
    if answer["description"] == "Successful Response":
        answer["description"] = f"{operation['summary']}: done."
    for media_type, content in answer.get("content", {}).items():
        # What a stream is made of is said apart from OpenAPI 3.2 on; in 3.1 its schema is that of each event.
        if (each := content.pop("itemSchema", None)) is not None:
            content.setdefault("schema", each)
        if not {"example", "examples"} & content.keys():
            name = "" if media_type == _JSON else "text"
            content["example"] = examples.answered(content.get("schema", {}), name=name)


def _failure(document: Json, code: int, answer: Json, *, schema: str) -> Json:
    """Return how an operation tells of a failure: in words of its own, or in those that all share."""
    said = answer["description"]
    told = {"description": said, "content": {PROBLEM: _problem(code, said, schema=schema)}}
    if said != MEANING.get(code):
        return told
    slug = _TITLES[code][0]
    document["components"].setdefault("responses", {})[slug] = told
    return {"$ref": f"#/components/responses/{slug}"}


def _problem(code: int, said: str, *, schema: str) -> Json:
    slug, title, next_step = _TITLES.get(
        code, ("http", said, "See the contract at openapi.json for what there is.")
    )
    example = {
        "type": f"https://everleaf.dev/problems/{slug}",
        "title": title,
        "status": code,
        "detail": MEANING.get(code, said),
        "instance": "/v1/orders",
        "next_step": next_step,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "errors": [],
    }
    return {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}
