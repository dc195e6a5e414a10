"""The HTTP face of a service: closed routes, problem documents, pages, and nothing by accident.

A route is added through `Routes`, which refuses one that neither declares a permission nor says that it is public and
why; what goes wrong is told as a problem document, and nowhere else is a status code chosen.
"""

from shared.http.api import create_api
from shared.http.bodies import MAX_BODY, Body, View
from shared.http.paging import Page, Paging, instant_in, number_in, of_query
from shared.http.preconditions import check_if_match, etag
from shared.http.problems import retry_after
from shared.http.routes import OpenRoute, Routes, public, refuse_open_routes

__all__ = [
    "MAX_BODY",
    "Body",
    "OpenRoute",
    "Page",
    "Paging",
    "Routes",
    "View",
    "check_if_match",
    "create_api",
    "etag",
    "instant_in",
    "number_in",
    "of_query",
    "public",
    "refuse_open_routes",
    "retry_after",
]
