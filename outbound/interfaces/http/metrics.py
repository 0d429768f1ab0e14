"""Figures for Prometheus: what the site answered, and what waits in the record. No label names anybody."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from outbound.services import gauges
from outbound.storage.database import Database

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_FRESH_SECONDS = 5.0


class Metrics:
    """The figures of one application, in a registry of its own."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "outbound_http_requests",
            "Requests answered, by group of routes, method and status.",
            ("group", "method", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "outbound_http_seconds",
            "Time to answer, by group of routes.",
            ("group",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._webhooks = Counter(
            "outbound_webhooks",
            "Requests of providers, by provider and what became of them: kept, or why they were refused.",
            ("provider", "result"),
            registry=self._registry,
        )
        self._record = _Record()
        self._registry.register(self._record)

    def observe(self, group: str, method: str, status: int, seconds: float) -> None:
        """Count one answer; status 0 is an asker who went away."""
        self._requests.labels(group, method if method in _METHODS else "other", str(status)).inc()
        self._seconds.labels(group).observe(seconds)

    def webhook(self, provider: str, result: str) -> None:
        """Count one request of a provider; whoever is none is counted as ``other``."""
        self._webhooks.labels(provider, result).inc()

    def page(self, database: Database, *, now: datetime) -> bytes:
        """Everything, in the text format. The record is asked at most every five seconds."""
        self._record.refresh(database, now)
        return generate_latest(self._registry)


class _Record:
    """The gauges of the record, as they were a moment ago."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read = 0.0
        self._found: gauges.Gauges | None = None

    def refresh(self, database: Database, now: datetime) -> None:
        """Ask the record unless it was asked just now. One asks, the others wait for the answer."""
        with self._lock:
            if self._found is None or time.monotonic() - self._read >= _FRESH_SECONDS:
                self._found = gauges.read(database, now=now)
                self._read = time.monotonic()

    def collect(self) -> Iterator[Metric]:
        """The metric families."""
        found = self._found
        if found is None:
            return
        messages = GaugeMetricFamily("outbound_messages", "Messages that are not in a final state.", labels=["state"])
        for state, count in found.messages.items():
            messages.add_metric([state], count)
        yield messages
        yield GaugeMetricFamily("outbound_lag_seconds", "How long the oldest due message has waited.", value=found.lag)
        yield GaugeMetricFamily("outbound_events_waiting", "Events no rule has seen yet.", value=found.waiting_events)
        yield GaugeMetricFamily(
            "outbound_accounts_paused", "Provider accounts and destinations paused.", value=found.paused_accounts
        )
        yield GaugeMetricFamily("outbound_runs_limited", "Runs that wait for approval.", value=found.runs_over_a_limit)
        yield GaugeMetricFamily("outbound_daemons", "Daemons seen within 30 seconds.", value=found.daemons)
        yield GaugeMetricFamily(
            "outbound_release_refused", "1 while the last apply was refused.", value=int(found.refused)
        )
