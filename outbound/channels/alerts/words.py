"""The words of notices, the same in a mail and in a webhook."""

from collections.abc import Sequence

from outbound.domain.alert import Notice


def headline(notices: Sequence[Notice], installation: str) -> str:
    """One line: ``[shop.example] 2 alerts, 1 over: twilio is paused ...``."""
    fired = [one for one in notices if not one.over]
    over = len(notices) - len(fired)
    counts = [
        *([f"{len(fired)} alert{'' if len(fired) == 1 else 's'}"] if fired else []),
        *([f"{over} over"] if over else []),
    ]
    first = (fired or list(notices))[0].alert
    return f"[{installation}] {', '.join(counts)}: {first.kind}{f' {first.subject}' if first.subject else ''}"


def body(notices: Sequence[Notice]) -> str:
    """Each with what to do about it; those that are over last."""
    blocks = []
    for one in sorted(notices, key=lambda notice: notice.over):
        name = f"{one.alert.kind}{f' {one.alert.subject}' if one.alert.subject else ''}"
        lines = [f"{'OVER' if one.over else 'ALERT'}  {name}, since {one.since:%Y-%m-%d %H:%M} UTC", one.alert.text]
        if one.alert.remedy and not one.over:
            lines.append(f"-> {one.alert.remedy}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"
