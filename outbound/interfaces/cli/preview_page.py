"""A page to look at previews in a browser: every message as its customer would see it, nothing to run, nothing sent."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import assert_never

from outbound.domain.rendered import RenderedEmail, RenderedSms, RenderStop
from outbound.services.preview import Previewed

ASSETS = "assets/"
"""Where the HTML files beside the page look for the brand's pictures."""

# No script runs, in the page or in a mail: frames inherit the policy, and are sandboxed besides.
_HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src * data:; font-src data:">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 46rem; padding: 0 1rem; color: #1b1b1b }}
h1 {{ font-size: 1.3rem }} h2 {{ font-size: 1rem; margin: 2.5rem 0 .5rem }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; margin: 0 0 .5rem }}
dt {{ color: #595959 }} dd {{ margin: 0 }}
iframe {{ width: 100%; height: 46rem; border: 1px solid #c8c8c8; border-radius: 6px; background: #fff }}
pre {{ white-space: pre-wrap; background: #f3f3f3; padding: 1rem; border-radius: 6px }}
.sms {{ background: #e7f0ff; border-radius: 1rem; padding: .8rem 1rem; max-width: 20rem; white-space: pre-wrap }}
.stop {{ color: #9b1c1c }}
</style></head><body>
"""


def write_page(folder: Path, previews: Sequence[Previewed], assets: Mapping[str, tuple[str, bytes]]) -> Path:
    """Write ``index.html`` and the pictures into ``folder``; answers the page. Needs no server to be looked at.

    The page holds its pictures itself: a frame without rights may read no file.
    """
    (folder / ASSETS).mkdir(parents=True, exist_ok=True)
    for name, (_, content) in assets.items():
        (folder / ASSETS / name).write_bytes(content)
    pictures = {
        f"{ASSETS}{name}": f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
        for name, (media_type, content) in assets.items()
    }
    first = previews[0] if previews else None
    title = f"{first.rule} for {first.customer_id}" if first else "nothing to show"
    parts = [
        _HEAD.format(title=escape(title)),
        f"<h1>{escape(title)}</h1>\n",
        *(_section(one, pictures) for one in previews),
        "</body></html>\n",
    ]
    page = folder / "index.html"
    page.write_text("".join(parts), encoding="utf-8")
    return page


def _section(one: Previewed, pictures: Mapping[str, str]) -> str:
    head = f"{one.channel} in {one.language}, template {one.template} ({one.message_class})"
    return f"<section><h2>{escape(head)}</h2>\n{_content(one, pictures)}</section>\n"


def _content(one: Previewed, pictures: Mapping[str, str]) -> str:
    match one.content:
        case RenderedEmail() as mail:
            facts = {"From": mail.sender, "Reply to": mail.reply_to, "Subject": mail.subject}
            told = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
            shown = mail.html
            for name, picture in pictures.items():
                shown = shown.replace(name, picture)
            frame = f'<iframe sandbox title="{escape(mail.subject)}" srcdoc="{escape(shown)}"></iframe>'
            text = f"<details><summary>as text</summary><pre>{escape(mail.text)}</pre></details>"
            return f"<dl>{told}</dl>\n{frame}\n{text}\n"
        case RenderedSms() as sms:
            said = f"{sms.segments} segment{'' if sms.segments == 1 else 's'}, {sms.encoding}"
            return f'<p class="sms">{escape(sms.text)}</p>\n<p>{escape(said)}</p>\n'
        case RenderStop() as stop:
            return f'<p class="stop">would not be sent: render.{escape(stop.detail)}</p>\n'
        case _:
            assert_never(one.content)
