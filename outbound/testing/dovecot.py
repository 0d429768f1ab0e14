"""A real IMAP server (Dovecot) on loopback, for the tests of mail that comes in."""

import getpass
import imaplib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

WORD = "a_word_of_a_test"
USER = "post"

_SECONDS = 20


def program() -> str:
    """Where Dovecot is, or "" on a machine without it."""
    return shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _configuration(folder: Path, port: int, *, mail_user: str, internal: str, login: str) -> str:
    account = pwd.getpwnam(mail_user)
    return f"""
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
default_internal_user = {internal}
default_login_user = {login}
first_valid_uid = 1
mail_location = maildir:{folder}/mail
passdb {{
  driver = static
  args = password={WORD}
}}
userdb {{
  driver = static
  args = uid={account.pw_uid} gid={account.pw_gid} home={folder}/mail
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
"""


@contextmanager
def imap_server() -> Iterator[int]:
    """Serve an empty mailbox of ``USER`` on a port of loopback until the block ends; answers the port."""
    with tempfile.TemporaryDirectory(prefix="outbound-imap-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o711)  # whoever owns the mail must get there
        port = _free_port()
        file = folder / "dovecot.conf"
        file.write_text(_configured(folder, port), encoding="utf-8")
        child = subprocess.Popen(  # noqa: S603 - the server of the tests
            [program(), "-F", "-c", str(file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _wait(port, child, folder / "log")
            yield port
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _configured(folder: Path, port: int) -> str:
    """Run by root it serves as the accounts that its package made; mail belongs to nobody."""
    me, root = getpass.getuser(), os.geteuid() == 0
    owner = "nobody" if root else me
    mail = folder / "mail"
    mail.mkdir()
    if root:
        shutil.chown(mail, owner)
    internal, login = ("dovecot", "dovenull") if root else (me, me)
    return _configuration(folder, port, mail_user=owner, internal=internal, login=login)


def _wait(port: int, child: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            break
        with suppress(OSError, imaplib.IMAP4.error), client(port):
            return
        time.sleep(0.05)
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    raise RuntimeError(f"dovecot does not answer: {said[-2000:]}")


@contextmanager
def client(port: int) -> Iterator[imaplib.IMAP4]:
    """A signed-in client, as a test looks into the mailbox."""
    with imaplib.IMAP4("127.0.0.1", port, timeout=10) as found:
        found.login(USER, WORD)
        yield found
