"""Opens the API of a cluster for one piece of work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from services.discovery.connectors import Access
from services.discovery.connectors.kubernetes.options import KubernetesSettings
from services.discovery.connectors.web import web_api
from shared.clouds.kubernetes import KubernetesCredential, context_of, login_of, service_account
from shared.errors import Invalid
from shared.tokens import Api, RenewingApi


@asynccontextmanager
async def api_of(access: Access) -> AsyncIterator[Api]:
    """Open the API of a cluster. Raises `Invalid` where settings and credential do not go together."""
    settings = cast("KubernetesSettings", access.settings)
    if settings.in_cluster and not access.pod_account:
        # Who may make sources known is not by that allowed to act as the platform itself.
        raise Invalid(
            "The service account of the pod may not be used.",
            next_step="Send a token, or let an operator set EVERLEAF_DISCOVERY_POD_ACCOUNT.",
        )
    login = login_of(settings, cast("KubernetesCredential", access.credential))
    headers = {"Authorization": f"Bearer {login.token}"} if login.token else None
    async with web_api(access, login.server, headers=headers, context=context_of(login)) as api:
        yield RenewingApi(api, make=service_account) if settings.in_cluster else api
