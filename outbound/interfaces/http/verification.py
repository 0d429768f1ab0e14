"""The page that says whether a message is really ours."""

from fastapi import APIRouter, Request, Response

from outbound.domain.verification import read_code, written
from outbound.engine.timing.walls import local_day
from outbound.engine.timing.zones import zone_named
from outbound.interfaces.http.groups import Group, Limits, Rate
from outbound.interfaces.http.rendering import Pages, reader_language
from outbound.interfaces.http.site import Site
from outbound.interfaces.http.words import long_day, spoken
from outbound.services import releases, verification

LIMITS = Limits(body=0, per_address=Rate(burst=30, per_second=0.5))
"""Sixty bits are out of reach of guessing at that pace."""


def group(site: Site, pages: Pages) -> Group:
    """``/v`` with a form, ``/v/CODE`` from a message. One answer for a code of ours, one for every other text."""
    router = APIRouter()

    @router.api_route("/v", methods=["GET", "HEAD"])
    def form(request: Request) -> Response:
        return answer(request.query_params.get("code", "")[:64], request)

    @router.api_route("/v/{code}", methods=["GET", "HEAD"])
    def follow(code: str, request: Request) -> Response:
        return answer(code, request)

    def answer(typed: str, request: Request) -> Response:
        active = releases.running(site.database)
        language = reader_language(active, request)
        found = verification.verify(site.database, active, typed)
        code = read_code(typed)
        day = local_day(found.at, zone_named(active.ruleset.policy.timezone)) if found else None
        return pages.page(
            "verify.html",
            active,
            language,
            here="verify",
            asked=bool(typed.strip()),
            code=written(code) if code else typed.strip(),
            found=found is not None,
            day=long_day(day, spoken(language)) if day else "",
            topic=found.titles.get(language, "") if found else "",
        )

    return Group(name="verify", router=router, paths=("/v",), limits=LIMITS)
