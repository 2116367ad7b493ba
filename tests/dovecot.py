"""A Dovecot server for one test run: made, started on free ports, thrown away.

Any user name is one, with the password `secret`, and has an empty mailbox.
"""

import grp
import os
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from imapclient import IMAPClient

from tests.programs import program
from tests.running import wait_until
from tests.sockets import free_port

PASSWORD = "secret"
_CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 0
auth_mechanisms = plain login
auth_failure_delay = 0
recipient_delimiter = +
mail_location = maildir:~/Maildir
mail_max_userip_connections = 200
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
service anvil {{
  chroot =
  # No penalty for the wrong passwords of one test in the next.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  process_min_avail = 1
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
"""


class Dovecot:
    """`with Dovecot() as server:` listens at 127.0.0.1, at server.imap_port and server.lmtp_port."""

    def __init__(self) -> None:
        # Not among pytest's own folders: those of root are closed to whom Dovecot runs as, and their names may be
        # too long for a socket's.
        self._folder = Path(tempfile.mkdtemp(prefix="tidings-dovecot-"))
        self.imap_port, self.lmtp_port = free_port(), free_port()
        self._as: dict[str, Any] = {}
        user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
        if os.geteuid() == 0:  # its login process refuses to run as root
            user, group = "nobody", grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
            self._as = {"user": user, "group": group, "extra_groups": []}
            shutil.chown(self._folder, user, group)
        self._config = self._folder / "dovecot.conf"
        self._config.write_text(
            _CONFIG.format(
                folder=self._folder,
                user=user,
                group=group,
                password=PASSWORD,
                imap=self.imap_port,
                lmtp=self.lmtp_port,
            )
        )

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Stopped while the block lasts."""
        self._stop()
        yield
        self._start()

    def _start(self) -> None:
        binary = program("dovecot")
        assert binary is not None
        self._process = subprocess.Popen(
            [binary, "-F", "-c", str(self._config)], cwd=self._folder, start_new_session=True, **self._as
        )
        wait_until(lambda: self._answers(self.imap_port) and self._answers(self.lmtp_port), "Dovecot's answer")

    def _stop(self) -> None:
        # The whole group: sessions that wait for news outlive Dovecot's master.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(20)

    @contextmanager
    def client(self, user: str, folder: str = "INBOX") -> Iterator[IMAPClient]:
        """A session of the mailbox's owner, with a folder selected."""
        with IMAPClient("127.0.0.1", self.imap_port, ssl=False, timeout=20) as client:
            client.login(user, PASSWORD)
            client.select_folder(folder)
            yield client

    def append(self, user: str, *messages: bytes, folder: str = "INBOX") -> None:
        """Put messages into a folder as they are."""
        with self.client(user) as client:
            for message in messages:
                client.append(folder, message)

    def deliver(self, sender: str, recipient: str, message: bytes) -> None:
        """Hand over a message as a mail server does, so that the envelope's traces are in its header."""
        with smtplib.LMTP("127.0.0.1", self.lmtp_port) as client:
            assert client.sendmail(sender, [recipient], message) == {}

    def messages(self, user: str, folder: str = "INBOX") -> list[bytes]:
        """The messages of a folder, oldest first; none where there is no such folder."""
        with self.client(user) as client:
            if not client.folder_exists(folder):
                return []
            client.select_folder(folder, readonly=True)
            found = client.fetch(client.search(), ["BODY.PEEK[]"])
            return [found[uid][b"BODY[]"] for uid in sorted(found)]

    def unseen(self, user: str) -> int:
        """How many messages of the inbox are not flagged as seen."""
        with self.client(user) as client:
            return len(client.search("UNSEEN"))

    def _answers(self, port: int) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as link:
                return bool(link.recv(1))
        except OSError:
            return False
