"""How operators are told of alerts: by e-mail through the mail account, and by an HTTP POST."""

from outbound.channels.alerts.mail import MailReceiver
from outbound.channels.alerts.webhook import WebhookReceiver

__all__ = ["MailReceiver", "WebhookReceiver"]
