"""Every table of the record. Importing this package fills ``SQLModel.metadata``."""

from outbound.storage.tables.access import api_key, api_request
from outbound.storage.tables.alerts import alert
from outbound.storage.tables.base import metadata
from outbound.storage.tables.customers import (
    address,
    consent,
    consent_anchor,
    consent_event,
    customer,
    customer_change,
    erasure,
    event,
    import_batch,
    sms_in,
    suppression,
)
from outbound.storage.tables.delivery import account_day, account_rate, breaker, evidence_look, stranger_count
from outbound.storage.tables.hooks import hook, hook_post
from outbound.storage.tables.inbox import delivery_event, inbox_event
from outbound.storage.tables.installation import active_release, daemon, installation, release
from outbound.storage.tables.interactions import interaction
from outbound.storage.tables.operations import operation
from outbound.storage.tables.outbox import attempt, leg, message
from outbound.storage.tables.runs import decision, experiment, firing, manifest, membership, run, send_request

__all__ = [
    "account_day",
    "account_rate",
    "active_release",
    "address",
    "alert",
    "api_key",
    "api_request",
    "attempt",
    "breaker",
    "consent",
    "consent_anchor",
    "consent_event",
    "customer",
    "customer_change",
    "daemon",
    "decision",
    "delivery_event",
    "erasure",
    "event",
    "evidence_look",
    "experiment",
    "firing",
    "hook",
    "hook_post",
    "import_batch",
    "inbox_event",
    "installation",
    "interaction",
    "leg",
    "manifest",
    "membership",
    "message",
    "metadata",
    "operation",
    "release",
    "run",
    "send_request",
    "sms_in",
    "stranger_count",
    "suppression",
]
