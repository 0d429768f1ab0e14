"""The preference centre: what the customer chose, what we hold and what we sent."""

from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from outbound.domain.consent import Evidence
from outbound.engine.timing.zones import customer_source, resolve_zones
from outbound.interfaces.http.forms import Form, text
from outbound.interfaces.http.groups import Group, Limits, Rate, last_segment
from outbound.interfaces.http.personal_data import rows
from outbound.interfaces.http.rendering import Pages, chosen_language, languages, visitor
from outbound.interfaces.http.site import Site
from outbound.interfaces.http.words import LANGUAGES, WORDS, spoken
from outbound.services import page_requests, personal_data, preference_centre, releases
from outbound.services.preference_centre import Centre, Expired, Saved, Wish
from outbound.services.rights import asking
from outbound.services.rights.asking import Asked, Right

LIMITS = Limits(body=16 * 1024, per_address=Rate(burst=120, per_second=4), per_token=Rate(burst=60, per_second=1))
_NOTES = ("saved", "stopped", "confirm_sent")
_ASKED = {Asked.SENT: "request_sent", Asked.UNANSWERED: "request_unanswered"}

Found = tuple[releases.Active, Centre]


def group(site: Site, pages: Pages) -> Group:
    """``/p/TOKEN``. Reading changes nothing; each change is a POST of the page's own form."""
    router = APIRouter()
    opened = _opener(site, pages)

    @router.api_route("/p/{token}", methods=["GET", "HEAD"])
    def show(token: str, request: Request) -> Response:
        found = opened(token, request)
        if isinstance(found, Response):
            return found
        active, centre = found
        note = request.query_params.get("note", "")
        return _page(pages, active, centre, token, note=note if note in _NOTES else "")

    @router.post("/p/{token}")
    @pages.writers.write
    def save(token: str, request: Request, form: Form) -> Response:
        found = opened(token, request)
        if isinstance(found, Response):
            return found
        active, centre = found
        wish = _wish(form)
        saved = preference_centre.save(
            site.database, centre, wish, wording=_wording(centre), evidence=_evidence(centre, request), now=site.now()
        )
        if saved.mistakes:
            return _page(pages, active, centre, token, wish=wish, saved=saved, status=422)
        if saved.to_confirm:
            asked = {(one.topic, one.channel): centre.titles[one.topic] for one in saved.to_confirm}
            page_requests.ask_confirmation(
                site.database, site.links, customer_id=centre.customer_id, wanted=asked, now=site.now()
            )
        return _back(pages, token, centre, "confirm_sent" if saved.to_confirm else "saved")

    @router.post("/p/{token}/stop")
    @pages.writers.write
    def stop(token: str, request: Request) -> Response:
        found = opened(token, request)
        if isinstance(found, Response):
            return found
        _, centre = found
        preference_centre.stop_all(site.database, centre, evidence=_evidence(centre, request), now=site.now())
        return _back(pages, token, centre, "stopped")

    _data(router, site, pages, opened)
    return Group(name="preferences", router=router, paths=("/p/",), limits=LIMITS, token=last_segment)


def _data(router: APIRouter, site: Site, pages: Pages, opened: Callable[[str, Request], Found | Response]) -> None:
    @router.api_route("/p/{token}/data", methods=["GET", "HEAD"])
    def data(token: str, request: Request) -> Response:
        found = opened(token, request)
        if isinstance(found, Response):
            return found
        active, centre = found
        held = personal_data.read(site.database, centre.customer_id)
        if held is None:
            return pages.unknown(active, request)
        policy = active.ruleset.policy
        zone = resolve_zones(customer_source(held.customer), policy).at
        lists = rows(held, policy, WORDS[spoken(centre.language)], centre.language, zone)
        home = f"{pages.root}/p/{token}"
        note = request.query_params.get("note", "")
        note = note if note in _ASKED.values() else ""
        return pages.page("data.html", active, centre.language, here="data", home=home, note=note, **lists)

    @router.post("/p/{token}/{right}")
    @pages.writers.write
    def ask(token: str, right: Right, request: Request) -> Response:
        """Send the link that confirms it: a page that somebody else may have opened does neither by itself."""
        found = opened(token, request)
        if isinstance(found, Response):
            return found
        active, centre = found
        asked = asking.ask(
            site.database, active, site.links, customer_id=centre.customer_id, right=right, now=site.now()
        )
        return _back(pages, f"{token}/data", centre, _ASKED[asked])


def _opener(site: Site, pages: Pages) -> Callable[[str, Request], Found | Response]:
    def opened(token: str, request: Request) -> Found | Response:
        """The centre that the token opens, or the page that says why it opens none."""
        active = releases.running(site.database)
        centre = preference_centre.open_centre(
            site.database,
            active,
            site.links,
            token,
            chosen=chosen_language(request),
            languages=languages(request),
            now=site.now(),
        )
        match centre:
            case None:
                return pages.unknown(active, request)
            case Expired():
                return pages.lost("expired", active, request, status=410)
            case _:
                return active, centre

    return opened


def _page(
    pages: Pages,
    active: releases.Active,
    centre: Centre,
    token: str,
    *,
    wish: Wish | None = None,
    saved: Saved | None = None,
    note: str = "",
    status: int = 200,
) -> Response:
    shown = frozenset(key for key, choice in centre.choices.items() if choice.on)
    return pages.page(
        "preferences.html",
        active,
        centre.language,
        status=status,
        here="preferences",
        home=f"{pages.root}/p/{token}",
        note=note,
        mistakes=saved.mistakes if saved else frozenset(),
        shown=sorted(shown),
        on=wish.on if wish else shown,
        subjects=centre.subjects,
        always=centre.always,
        channels=centre.channels,
        blocked=centre.blocked,
        addresses=centre.addresses,
        fewer_offered=centre.fewer_offered,
        spoken=[(code, LANGUAGES.get(code, code)) for code in centre.languages],
        today=centre.today.isoformat(),
        wish=wish or _standing(centre, shown),
    )


def _standing(centre: Centre, shown: frozenset[str]) -> Wish:
    """What stands, as the form would say it."""
    preference, pause = centre.preference, centre.pause
    hours = preference.quiet_hours
    return Wish(
        shown=shown,
        on=shown,
        channel=preference.channel or "",
        language=preference.language or centre.language,
        quiet_from=f"{hours.start:%H:%M}" if hours else "",
        quiet_to=f"{hours.end:%H:%M}" if hours else "",
        pause_until=pause.end.isoformat() if pause else "",
        fewer=preference.fewer,
    )


def _wish(form: FormData) -> Wish:
    shown = text(form, "shown", most=4000)
    return Wish(
        shown=frozenset(shown.split()),
        on=frozenset(value for value in form.getlist("on") if isinstance(value, str)),
        channel=text(form, "channel"),
        language=text(form, "language"),
        quiet_from=text(form, "quiet_from"),
        quiet_to=text(form, "quiet_to"),
        pause_until=text(form, "pause_until"),
        fewer=text(form, "fewer") == "yes",
    )


def _wording(centre: Centre) -> dict[str, str]:
    """What stands beside each choice: topic and channel in the page's language."""
    words = WORDS[spoken(centre.language)]
    return {
        choice.key: f"{subject.title}: {words[choice.channel]}"
        for subject in centre.subjects
        for choice in subject.choices
    }


def _evidence(centre: Centre, request: Request) -> Evidence:
    return visitor(request, f"preference page of message {centre.link.message_id}")


def _back(pages: Pages, token: str, centre: Centre, note: str) -> Response:
    """To the page itself, so that a reload repeats nothing."""
    where = f"{pages.root}/p/{token}?lang={centre.language}&note={note}"
    return RedirectResponse(where, status_code=303, headers={"Cache-Control": "no-store"})
