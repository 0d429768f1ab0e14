"""What providers POST to us: refused unless proven, durable before it is answered, worked on afterwards."""

from fastapi import APIRouter, Request, Response

from outbound.channels.webhooks import base
from outbound.channels.webhooks.base import MalformedError, Refusal
from outbound.interfaces.http.groups import Group, Limits
from outbound.interfaces.http.metrics import Metrics
from outbound.interfaces.http.site import Site
from outbound.services.inbox import Receiver
from outbound.services.inbox.receiving import raw

_PORTS = {"https": ":443", "http": ":80"}


def group(site: Site, metrics: Metrics) -> Group:
    """``/webhooks/PROVIDER``. No limit of rate: a provider that is slowed down drops what it has to say."""
    router = APIRouter()
    hooks = Webhooks(site, metrics)
    router.add_route("/webhooks/{provider}", hooks.take, methods=["POST"])
    return Group(
        name="webhooks", router=router, paths=("/webhooks",), limits=Limits(body=site.settings.inbound.max_body)
    )


class Webhooks:
    """Takes the requests of all providers that are set up."""

    def __init__(self, site: Site, metrics: Metrics) -> None:
        self._site = site
        self._metrics = metrics
        self._receiver = Receiver(site.database)

    async def take(self, request: Request) -> Response:
        """204 once it is durable. 403 for what is not proven, without a word about why; 400 for what is garbage."""
        name = str(request.path_params["provider"])
        webhook = self._site.webhooks.get(name)
        if webhook is None:
            return self._refuse("other", Refusal.UNKNOWN)
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            self._metrics.webhook(name, "encoding")
            return Response(status_code=415)  # no provider packs its requests, and a bomb is not unpacked (F64)
        now = self._site.now()
        came = base.Request(
            urls=called_by(self._site.links.public_url, request.url.path, request.url.query),
            headers={key.lower(): value for key, value in request.headers.items()},
            body=await request.body(),
        )
        try:
            refusal = webhook.verify(came, now=now)
            key = "" if refusal else webhook.key(came)
        except MalformedError:
            self._metrics.webhook(name, Refusal.MALFORMED)
            return Response(status_code=400)
        if refusal is not None:
            return self._refuse(name, refusal)
        head = {"type": came.headers.get("content-type", ""), "url": came.urls[0]}
        await self._receiver.keep(raw(name, key, came.body, head=head, now=now))
        self._metrics.webhook(name, "kept")
        return Response(status_code=204)

    def _refuse(self, provider: str, why: Refusal) -> Response:
        self._metrics.webhook(provider, why)
        return Response(status_code=403)


def called_by(public_url: str, path: str, query: str) -> tuple[str, ...]:
    """The addresses a provider may have called and signed: ours as configured, with and without its implied port.

    Neither Host nor any forwarded header is asked: whoever writes those could choose what is verified (F62).
    """
    base_url = public_url.rstrip("/")
    tail = f"{path}?{query}" if query else path
    scheme, _, rest = base_url.partition("://")
    host, slash, prefix = rest.partition("/")
    port = _PORTS.get(scheme.lower(), "")
    other = host.removesuffix(port) if port and host.endswith(port) else f"{host}{port}"
    both = [host] if ":" in host.removesuffix(port).rpartition("]")[2] else [host, other]
    return tuple(f"{scheme}://{one}{slash}{prefix}{tail}" for one in both)
