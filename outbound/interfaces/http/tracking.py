"""Links of mails that lead through us, and the picture that tells that one was opened (F70, F74, C43)."""

import base64

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.exc import SQLAlchemyError

from outbound.domain.delivery import DeliveryKind
from outbound.interfaces.http.groups import Group, Limits, Rate, last_segment
from outbound.interfaces.http.rendering import Pages
from outbound.interfaces.http.site import Site
from outbound.services import releases, tracking
from outbound.services.tracking import Hit

log = structlog.get_logger("outbound.http")

# Scanners follow every link of a mail at once; providers fetch pictures for all of their users.
LIMITS = Limits(body=0, per_address=Rate(burst=2000, per_second=500), per_token=Rate(burst=60, per_second=1))
_PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_FRESH = {"Cache-Control": "no-store"}


def group(site: Site, pages: Pages) -> Group:
    """``/l/TOKEN`` and ``/o/TOKEN``. Query and body are never read."""
    router = APIRouter()

    def note(message_id: str, kind: DeliveryKind, request: Request, link: bytes = b"") -> None:
        """Note it; the reader goes on whatever becomes of that."""
        agent = request.headers.get("user-agent", "")[:500]
        hit = Hit(message_id=message_id, kind=kind, method=request.method, user_agent=agent, link=link)
        try:
            tracking.note(site.database, releases.running(site.database), site.links.keyring, hit, now=site.now())
        except SQLAlchemyError as error:
            log.warning("record unavailable", error=type(error).__name__)

    @router.api_route("/l/{token}", methods=["GET", "HEAD"])
    def follow(token: str, request: Request) -> Response:
        """Go on to what a template says; a token that is not ours, or names nothing there, leads nowhere."""
        active = releases.running(site.database)
        found = site.links.read_click(token)
        leads_to = tracking.destination(site.database, active, *found) if found else None
        if found is None or leads_to is None:
            return pages.unknown(active, request)
        note(found[0], DeliveryKind.CLICKED, request, found[1])
        return RedirectResponse(leads_to, 302, headers=_FRESH)

    @router.api_route("/o/{token}", methods=["GET", "HEAD"])
    def picture(token: str, request: Request) -> Response:
        """The picture, whoever asks for it."""
        message_id = site.links.read_open(token)
        if message_id:
            note(message_id, DeliveryKind.OPENED, request)
        return Response(_PIXEL, media_type="image/gif", headers=_FRESH)

    return Group(name="tracking", router=router, paths=("/l/", "/o/"), limits=LIMITS, token=last_segment)
