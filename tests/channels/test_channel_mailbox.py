"""The mailbox folder: openable files, written once and whole, and a page that escapes everything."""

import email
import email.policy
import html
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from channels_kit import deliver, deliver_one, email_content, email_parcel, envelope, run, sms_parcel

from outbound.channels.base import Parcel
from outbound.channels.email import mime
from outbound.channels.mailbox import MailboxAdapter, write_index
from outbound.channels.sms import text
from outbound.domain.customer import ChannelName
from outbound.domain.errors import ConfigurationError
from outbound.domain.outcome import OutcomeKind as K

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def clock() -> datetime:
    return datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def mail_box(folder: Path) -> MailboxAdapter:
    return MailboxAdapter(folder, channel=ChannelName.EMAIL, pack=mime.pack, clock=clock)


def text_box(folder: Path) -> MailboxAdapter:
    return MailboxAdapter(folder, channel=ChannelName.SMS, pack=text.pack, clock=clock)


def entries(page: Path) -> list[dict[str, Any]]:
    found = re.search(
        r'<script type="application/json" id="messages">(.*?)</script>', page.read_text("utf-8"), re.DOTALL
    )
    assert found is not None
    listed = json.loads(found[1])
    assert isinstance(listed, list)
    return listed


def test_files_hold_the_exact_payload_under_the_reference(tmp_path: Path) -> None:
    """An e-mail is an .eml any program opens, a text a .txt; both are the bytes that would have gone out."""
    mail, sms = email_parcel(), sms_parcel()
    deliver(mail_box(tmp_path), mail)
    deliver(text_box(tmp_path), sms)
    assert (tmp_path / "email" / "0193-1.eml").read_bytes() == mail.payload
    assert (tmp_path / "sms" / "0193-1.txt").read_bytes() == sms.payload
    opened = email.message_from_bytes((tmp_path / "email" / "0193-1.eml").read_bytes(), policy=email.policy.default)
    assert opened["To"] == "marta.rossi@example.it"


def test_the_same_reference_twice_is_one_file_untouched(tmp_path: Path) -> None:
    """Delivering again after a crash changes nothing."""
    deliver(mail_box(tmp_path), email_parcel())
    file = tmp_path / "email" / "0193-1.eml"
    before = (file.stat().st_mtime_ns, file.stat().st_ino)
    assert deliver_one(mail_box(tmp_path), email_parcel()).kind is K.ACCEPTED
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before
    assert [path.name for path in (tmp_path / "email").iterdir()] == ["0193-1.eml"]


@pytest.mark.parametrize("reference", ["../../etc/passwd", "a/b", "..", "", "a\0b", "x" * 100])
def test_a_reference_cannot_leave_the_folder(tmp_path: Path, reference: str) -> None:
    """Names are letters, digits, dot, dash and underscore."""
    folder = tmp_path / "inner"
    assert deliver_one(text_box(folder), sms_parcel(reference=reference)).kind is K.ACCEPTED
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert all(folder in path.parents for path in files)


def test_a_folder_that_cannot_be_written_is_not_sent_and_leaves_no_half_file(tmp_path: Path) -> None:
    """A name too long for the disk: not_sent, nothing but whole files."""
    outcome = deliver_one(text_box(tmp_path), sms_parcel(reference="x" * 300))
    assert outcome.kind is K.NOT_SENT
    (tmp_path / "file").touch()
    assert run(text_box(tmp_path / "file").check()).startswith("mailbox folder: ")
    (tmp_path / "file").unlink()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_only_channels_with_a_form_are_taken(tmp_path: Path) -> None:
    """There is no mailbox for a push message yet, and that is said at once."""
    with pytest.raises(ConfigurationError):
        MailboxAdapter(tmp_path, channel=ChannelName.PUSH, pack=text.pack)


def test_the_index_lists_everything_newest_first_with_its_parts(tmp_path: Path) -> None:
    """Customer, address, subject, time, text, headers and a preview file for each message."""
    later = MailboxAdapter(
        tmp_path, channel=ChannelName.SMS, pack=text.pack, clock=lambda: datetime(2026, 11, 23, tzinfo=UTC)
    )
    deliver(mail_box(tmp_path), email_parcel())
    deliver(later, sms_parcel(reference="0194-1"))
    page = write_index(tmp_path, brand_name="Bottega Verde")
    sms, mail = entries(page)
    assert (sms["channel"], sms["text"]) == ("sms", "Ciao Marta, il pacco è arrivato")
    assert (mail["subject"], mail["customer"]) == ("Marta, è arrivata l'estate", "c-1")
    assert mail["time"] == "2026-11-22T09:30:00+00:00"
    assert mail["text"] == "Però che bello: 12,50 €\n"
    assert any(line.startswith("List-Unsubscribe: <https://") for line in mail["headers"])
    assert "Però che bello" in (tmp_path / mail["view"]).read_text("utf-8")
    assert (tmp_path / mail["file"]).exists()


def test_an_empty_mailbox_has_an_index_too(tmp_path: Path) -> None:
    """The page exists before the first message."""
    assert entries(write_index(tmp_path / "new", brand_name="B")) == []


def test_f75_nothing_in_a_message_becomes_markup_of_the_page(tmp_path: Path) -> None:
    """Brand, subject, names and texts are data: no tag of theirs stands in the page's source."""
    content = email_content(f"Ciao {HOSTILE}", text=HOSTILE, sender=f"{HOSTILE.replace('<', '')} <a@b.example>")
    payload = mime.build(content, envelope())
    mail = Parcel(
        reference="m-1", channel=ChannelName.EMAIL, address="a@b.example", payload=payload, customer_id=HOSTILE
    )
    deliver(mail_box(tmp_path), mail)
    page = write_index(tmp_path, brand_name=HOSTILE)
    source = page.read_text("utf-8")
    assert HOSTILE not in source
    assert "<script>alert" not in source
    assert "<img" not in source
    assert html.escape(HOSTILE) in source
    assert entries(page)[0]["subject"] == f"Ciao {HOSTILE}"
    assert "innerHTML" not in source


def test_f75_the_preview_runs_no_script_and_loads_nothing(tmp_path: Path) -> None:
    """The frame is sandboxed without any permission; the preview's policy comes before the message's first byte."""
    deliver(mail_box(tmp_path), email_parcel())
    page = write_index(tmp_path, brand_name="B")
    assert 'frame.setAttribute("sandbox", "")' in page.read_text("utf-8")
    view = (tmp_path / entries(page)[0]["view"]).read_text("utf-8")
    assert view.index("default-src 'none'") < view.index("<html>")
    assert "script-src" not in view


def test_the_index_asks_nothing_of_the_network(tmp_path: Path) -> None:
    """One self-contained file: no address of another host stands in the page itself."""
    page = write_index(tmp_path, brand_name="B").read_text("utf-8")
    assert re.findall(r"(?:https?:)?//[a-z]", page) == []
    assert "default-src 'none'" in page


def test_brand_pictures_are_shown_without_a_request(tmp_path: Path) -> None:
    """A picture served under the public URL stands in the preview as a data URL; others stay as they are."""
    body = '<html><img src="https://shop.example/assets/ab12.png"><img src="https://else.example/x.png"></html>'
    payload = mime.build(email_content(html=body), envelope())
    deliver(mail_box(tmp_path), email_parcel(payload=payload))
    page = write_index(tmp_path, brand_name="B", assets={"ab12.png": ("image/png", b"\x89PNG")})
    view = (tmp_path / entries(page)[0]["view"]).read_text("utf-8")
    assert 'src="data:image/png;base64,iVBORw=="' in view
    assert 'src="https://else.example/x.png"' in view


def test_writing_the_index_again_is_the_same_page(tmp_path: Path) -> None:
    """A second run of the demo leaves the same folder."""
    deliver(mail_box(tmp_path), email_parcel())
    first = write_index(tmp_path, brand_name="B").read_bytes()
    assert write_index(tmp_path, brand_name="B").read_bytes() == first
    assert not list(tmp_path.rglob("*.tmp"))
