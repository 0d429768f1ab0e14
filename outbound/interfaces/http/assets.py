"""Brand assets by their content-addressed names, and the sign of the brand in a browser's tab."""

from fastapi import APIRouter, Response

from outbound.interfaces.http import colors
from outbound.interfaces.http.groups import Group, Limits, Rate
from outbound.interfaces.http.site import Site
from outbound.services import releases

_DAY = 24 * 3600
_YEAR = 365 * _DAY


def group(site: Site) -> Group:
    """``/assets/NAME``. Image proxies of mail providers ask for all of their users."""
    router = APIRouter()

    @router.api_route("/assets/{name}", methods=["GET", "HEAD"])
    def asset(name: str) -> Response:
        """A brand asset by its content-addressed name: it never changes, so it may be kept for a year."""
        found = releases.asset(site.database, name)
        if found is None:
            return Response(status_code=404)
        media_type, content = found
        return Response(
            content, media_type=media_type, headers={"Cache-Control": f"public, max-age={_YEAR}, immutable"}
        )

    @router.api_route("/icon.svg", methods=["GET", "HEAD"])
    def icon() -> Response:
        """The sign in a browser's tab. Without one browsers ask for a file that is not there."""
        active = releases.running(site.database)
        drawn = colors.icon(active.templates.look.color, active.ruleset.policy.brand.name[:1])
        return Response(drawn, media_type="image/svg+xml", headers={"Cache-Control": f"public, max-age={_DAY}"})

    limits = Limits(body=0, per_address=Rate(burst=2000, per_second=500))
    return Group(name="assets", router=router, paths=("/assets/", "/icon.svg"), limits=limits)
