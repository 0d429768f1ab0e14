"""The unsubscribe page and its one-click address (RFC 8058)."""

from fastapi import APIRouter, Request, Response

from outbound.interfaces.http.groups import Group, Limits, Rate, last_segment
from outbound.interfaces.http.rendering import Pages, chosen_language, languages
from outbound.interfaces.http.site import Site
from outbound.services import releases, unsubscribe

# Mail providers post for all of their users from few addresses.
LIMITS = Limits(per_address=Rate(burst=500, per_second=100), per_token=Rate(burst=60, per_second=1))


def group(site: Site, pages: Pages) -> Group:
    """``/u/TOKEN``."""
    router = APIRouter()

    def offer(active: releases.Active, token: str, request: Request) -> unsubscribe.Offer | None:
        picked = chosen_language(request)
        return unsubscribe.offer(site.database, active, site.links, token, chosen=picked, languages=languages(request))

    def page(active: releases.Active, offered: unsubscribe.Offer, *, done: bool) -> Response:
        return pages.page("unsubscribe.html", active, offered.language, topic=offered.topic_title, done=done)

    @router.api_route("/u/{token}", methods=["GET", "HEAD"])
    def show(token: str, request: Request) -> Response:
        active = releases.running(site.database)
        offered = offer(active, token, request)
        return page(active, offered, done=offered.withdrawn) if offered else pages.unknown(active, request)

    @router.post("/u/{token}")
    @pages.writers.write
    def act(token: str, request: Request) -> Response:
        """One click (RFC 8058) and the page's button are the same request: the token says it all, no body is read."""
        active = releases.running(site.database)
        offered = offer(active, token, request)
        if offered is None:
            return pages.unknown(active, request)
        client = request.client.host if request.client else ""
        agent = request.headers.get("user-agent", "")
        unsubscribe.unsubscribe(site.database, offered, ip=client, user_agent=agent, now=site.now())
        return page(active, offered, done=True)

    return Group(name="unsubscribe", router=router, paths=("/u/",), limits=LIMITS, token=last_segment)
