"""Whether the service lives and is ready, and its figures for Prometheus."""

import ipaddress

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from outbound.interfaces.http.groups import Group, Limits, Rate
from outbound.interfaces.http.metrics import Metrics
from outbound.interfaces.http.site import Site
from outbound.services import refusals, releases


def group(site: Site, metrics: Metrics) -> Group:
    """``/health``, ``/ready`` and ``/metrics``."""
    router = APIRouter()
    _health(router, site)
    _metrics(router, site, metrics)
    limits = Limits(body=0, per_address=Rate(burst=100, per_second=20))
    return Group(name="health", router=router, paths=("/health", "/ready", "/metrics"), limits=limits)


def _health(router: APIRouter, site: Site) -> None:
    @router.api_route("/health", methods=["GET", "HEAD"])
    def health() -> JSONResponse:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    @router.api_route("/ready", methods=["GET", "HEAD"])
    def ready() -> JSONResponse:
        """The database answers and a release is active.

        ``health`` is red after a refused apply. The code stays 200: the last good release runs, and taking the
        unsubscribe page off the net would mend nothing. The mistakes themselves are for `outbound status`.
        """
        found = releases.active(site.database)
        with site.database.read() as connection:
            refused = refusals.standing(connection)
        said: dict[str, object] = {"status": "ready" if found else "no active release"}
        said["health"] = "green" if found and refused is None else "red"
        if refused is not None:
            said["refused"] = {"at": refused.at.isoformat(), "errors": refused.errors}
        return JSONResponse(said, 200 if found else 503)


def _metrics(router: APIRouter, site: Site, metrics: Metrics) -> None:
    networks = [ipaddress.ip_network(one) for one in site.settings.server.metrics_from]

    @router.api_route("/metrics", methods=["GET", "HEAD"])
    def figures(request: Request) -> Response:
        """Figures for Prometheus. To anybody who is not in ``[server] metrics_from`` there is no such page."""
        try:
            asker = ipaddress.ip_address(request.client.host if request.client else "")
        except ValueError:
            return Response(status_code=404)
        if not any(asker in network for network in networks):
            return Response(status_code=404)
        return Response(metrics.page(site.database, now=site.now()), media_type=metrics.media_type)
