"""Pages that finish what was asked for: a right, a double opt-in, a new link. Opening them changes nothing."""

from fastapi import APIRouter, BackgroundTasks, Request, Response

from outbound.interfaces.http.forms import Form, text
from outbound.interfaces.http.groups import KILOBYTE, Group, Limits, Rate, last_segment
from outbound.interfaces.http.rendering import Pages, reader_language, visitor
from outbound.interfaces.http.site import Site
from outbound.interfaces.http.words import WORDS, spoken
from outbound.services import page_requests, releases
from outbound.services.rights import asking

LIMITS = Limits(body=4 * KILOBYTE, per_address=Rate(burst=60, per_second=1), per_token=Rate(burst=20, per_second=0.2))
ACCESS_LIMITS = Limits(body=4 * KILOBYTE, per_address=Rate(burst=10, per_second=0.05))
"""Each request may send a mail to somebody: few, and one person gets one in ten minutes (fault F84)."""


def group(site: Site, pages: Pages) -> Group:
    """``/rights/TOKEN`` and ``/c/TOKEN``, from the mail that confirms."""
    router = APIRouter()
    _rights(router, site, pages)
    _consent(router, site, pages)
    return Group(name="confirmations", router=router, paths=("/rights/", "/c/"), limits=LIMITS, token=last_segment)


def _rights(router: APIRouter, site: Site, pages: Pages) -> None:
    @router.api_route("/rights/{token}", methods=["GET", "HEAD"])
    def question(token: str, request: Request) -> Response:
        active = releases.running(site.database)
        offered = asking.offer(site.links, token, now=site.now())
        if offered is None:
            return pages.notice("over", active, request, status=404)
        language = reader_language(active, request)
        words, name = WORDS[spoken(language)], offered.right.value
        return pages.page(
            "question.html",
            active,
            language,
            heading=words[f"{name}_title"],
            lines=[words[f"{name}_question"]],
            button=words[f"{name}_confirm"],
            danger=offered.right is asking.Right.ERASE,
        )

    @router.post("/rights/{token}")
    @pages.writers.write
    def do(token: str, request: Request) -> Response:
        active = releases.running(site.database)
        done = asking.confirm(site.database, site.links, token, message_links=site.links.of_message, now=site.now())
        if done is None:
            return pages.notice("over", active, request, status=404)
        if done.export is not None:
            headers = {"Content-Disposition": 'attachment; filename="record.zip"', "Cache-Control": "no-store"}
            return Response(done.export.archive(), media_type="application/zip", headers=headers)
        if done.receipt is None:
            return pages.notice("later", active, request, status=503)
        language = reader_language(active, request)
        words = WORDS[spoken(language)]
        lines = [words["erased_lead"], done.receipt.id]
        return pages.page(
            "question.html", active, language, heading=words["erased_title"], lines=lines, button="", danger=False
        )


def _consent(router: APIRouter, site: Site, pages: Pages) -> None:
    def page(active: releases.Active, request: Request, topic: str, *, done: bool) -> Response:
        language = reader_language(active, request)
        words = WORDS[spoken(language)]
        known = active.ruleset.policy.topics.get(topic)
        title = known.titles.get(language, topic) if known else topic
        heading = words["confirmed_title"] if done else words["confirm_question"].format(topic=title)
        lines = [words["confirmed_lead"].format(topic=title) if done else words["confirm_lead"]]
        button = "" if done else words["confirm_button"]
        return pages.page("question.html", active, language, heading=heading, lines=lines, button=button, danger=False)

    @router.api_route("/c/{token}", methods=["GET", "HEAD"])
    def question(token: str, request: Request) -> Response:
        active = releases.running(site.database)
        pending = page_requests.read_confirmation(site.links, token, now=site.now())
        if pending is None:
            return pages.notice("over", active, request, status=404)
        return page(active, request, pending.topic, done=False)

    @router.post("/c/{token}")
    @pages.writers.write
    def confirm(token: str, request: Request) -> Response:
        """The yes of a double opt-in counts by POST alone: scanners follow links (C11)."""
        active = releases.running(site.database)
        pending = page_requests.read_confirmation(site.links, token, now=site.now())
        evidence = visitor(request, "confirmation link of a double opt-in")
        if pending is None or not page_requests.confirm(
            site.database, site.links, pending, evidence=evidence, now=site.now()
        ):
            return pages.notice("over", active, request, status=404)
        return page(active, request, pending.topic, done=True)


def access_group(site: Site, pages: Pages) -> Group:
    """``/p``: a new link for whoever types their address. Known or not, the answer and its time are the same (F83)."""
    router = APIRouter()

    def page(request: Request, *, done: bool) -> Response:
        active = releases.running(site.database)
        language = reader_language(active, request)
        words = WORDS[spoken(language)]
        return pages.page("access.html", active, language, heading=words["access_title"], text="", done=done)

    @router.api_route("/p", methods=["GET", "HEAD"])
    def form(request: Request) -> Response:
        return page(request, done=False)

    @router.post("/p")
    @pages.writers.write
    def ask(request: Request, form: Form, later: BackgroundTasks) -> Response:
        address, now = text(form, "email", most=254), site.now()
        active = releases.running(site.database)
        later.add_task(page_requests.ask_access, site.database, active, site.links, address, now=now)
        return page(request, done=True)

    return Group(name="access", router=router, paths=("/p",), limits=ACCESS_LIMITS)
