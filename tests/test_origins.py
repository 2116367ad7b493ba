"""Archives as other programs export them: each in the shape of that program, with people who do not exist."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.small_site import Program, SmallSite, any_site, makings, small_site
from tests.test_import_export import verdicts
from tidings.archive import mbox
from tidings.mailer.parse import parse
from tidings.operations import exporting
from tidings.settings import LimitSettings

FIXTURES = (any_site, makings, small_site)

# --- Mailman 2: a month file (.txt, .txt.gz), no blank line before a From_ line where a body ended without one --------

MARCH = b"""\
From ana at example.org  Mon Mar  2 08:00:00 2026
From: ana at example.org (Ana Berg)
Date: Mon, 02 Mar 2026 08:00:00 +0100
Subject: [pump] Seal leaks at start-up
Message-ID: <seal@example.org>

Which seal is on line 3? Ask sam at example.org.

From ana at example.org  Mon Mar  2 07:00:00 2026
is how a mail begins in this file.
-------------- next part --------------
A non-text attachment was scrubbed...
Name: seal.jpg
Type: image/jpeg
Size: 81920 bytes
Desc: not available
URL: <http://lists.example.org/pipermail/pump/attachments/20260302/5f2c1a77/attachment.jpg>
From li at example.org  Tue Mar  3 09:00:00 2026
From: li at example.org (=?utf-8?q?Li_=C3=85s?=)
Date: Tue, 03 Mar 2026 09:00:00 +0100
Subject: [pump] Seal leaks at start-up
In-Reply-To: <seal@example.org>
References: <seal@example.org>
Message-ID: <answer@example.org>

The new one.

"""
APRIL = b"""\
From raj en example.org  Wed Apr  1 09:00:00 2026
From: raj en example.org (raj en example.org)
Date: Wed, 01 Apr 2026 09:00:00 +0200
Subject: [pump] Seal leaks at start-up
In-Reply-To: <answer@example.org>
Message-ID: <thanks@example.org>

It holds.

"""


def written(folder: Path, data: bytes, name: str = "old.mbox") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def authors(site: SmallSite) -> dict[str, tuple[str, str]]:
    return {message_id: (row[2], row[3]) for message_id, row in site.shown().items()}


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_month_files_of_mailman_2_give_their_threads_and_addresses_in_any_order(
    any_site: SmallSite, tmp_path: Path, order: tuple[str, str]
) -> None:
    months = dict(zip(order, (MARCH, APRIL), strict=True))
    written(tmp_path, gzip.compress(months["a"]), "months/a.txt.gz")
    written(tmp_path, months["b"], "months/b.txt")
    written(tmp_path, b"From here on these are notes.\n", "months/notes.txt")
    found = any_site.import_file(tmp_path / "months")
    assert {(one.verdict, one.read_as) for one in found} == {("stored", "mailman-text")}
    assert {one.message_id: one.reason for one in found} == {
        "seal@example.org": "Its From is obscured, and read as ana@example.org.",
        "answer@example.org": "Its From is obscured, and read as li@example.org.",
        "thanks@example.org": "Its From is obscured, and read as raj@example.org.",
    }
    assert authors(any_site) == {
        "seal@example.org": ("Ana Berg", "ana@example.org"),
        "answer@example.org": ("Li Ås", "li@example.org"),
        "thanks@example.org": ("raj@example.org", "raj@example.org"),
    }
    assert {name: parent for name, (parent, _, _) in any_site.tree().items()} == {
        "seal@example.org": None,
        "answer@example.org": "seal@example.org",
        "thanks@example.org": "answer@example.org",
    }
    before = any_site.shown(), any_site.tree()
    any_site.rebuild()
    assert (any_site.shown(), any_site.tree()) == before


def test_what_mailman_2_scrubbed_stands_in_the_text_with_its_link(small_site: SmallSite, tmp_path: Path) -> None:
    small_site.import_file(written(tmp_path, MARCH, "2026-March.txt"))
    *_, text, folds, attachments, _ = small_site.shown()["seal@example.org"]
    assert "URL: <http://lists.example.org/pipermail/pump/attachments/20260302/5f2c1a77/attachment.jpg>" in text
    assert "Ask sam at example.org" in text, "in a body it may be prose"
    assert "From ana at example.org  Mon Mar  2 07:00:00 2026\nis how" in text
    assert (folds, attachments) == ((), None)
    assert small_site.raws() == [one.raw for one in mbox.read(tmp_path / "2026-March.txt")]


PLAIN_FIELDS = b"Subject: x\nDate: Mon, 02 Mar 2026 08:00:00 +0100\n\nx\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"From: ana at example.org (Ana)\nTo: pump@example.org\n" + PLAIN_FIELDS,  # a To: pipermail writes none
        b"From: ana at example.org (Ana)\n" + PLAIN_FIELDS,  # another order
        b"From: Ana <ana at example.org>\nTo: pump at lists.example.org\n" + PLAIN_FIELDS,  # not multipart/mixed
        b"From: the man at the desk (Ana)\nDate: Mon, 02 Mar 2026 08:00:00 +0100\nSubject: x\n\nx\n",
        b"From: ana@home at example.org (Ana)\nDate: Mon, 02 Mar 2026 08:00:00 +0100\nSubject: x\n\nx\n",
    ],
)
def test_words_that_look_like_an_obscured_address_are_none_in_other_headers(raw: bytes) -> None:
    assert parse(raw, LimitSettings()).author_email == ""


# --- Mailman 2: LISTNAME.mbox/LISTNAME.mbox --------------------------------------------------------------------------

LISTNAME = b"""\
From ana@example.org  Mon Mar  2 08:00:00 2026
Return-Path: <ana@example.org>
X-Original-To: pump@lists.example.org
Delivered-To: pump@lists.example.org
From: Ana Berg <ana@example.org>
To: pump@lists.example.org
Date: Mon, 02 Mar 2026 08:00:00 +0100
Subject: [pump] Seal leaks
Message-ID: <seal@example.org>
X-BeenThere: pump@lists.example.org
X-Mailman-Version: 2.1.39
Precedence: list

From what I see, it leaks. The old file says:

From sam@example.org  Sun Mar  1 08:00:00 2026
it leaks, too.

From the stock, please.

From li@example.org  Tue Mar  3 09:00:00 2026
Return-Path: <li@example.org>
From: Li <li@example.org>
Date: Tue, 03 Mar 2026 09:00:00 +0100
Subject: Re: [pump] Seal leaks
In-Reply-To: <seal@example.org>
Message-ID: <answer@example.org>
X-BeenThere: pump@lists.example.org
X-Mailman-Version: 2.1.39

>From the crib.

"""


def test_a_raw_file_of_mailman_2_with_unquoted_lines_gives_two_messages(small_site: SmallSite, tmp_path: Path) -> None:
    path = written(tmp_path, LISTNAME, "pump.mbox/pump.mbox")
    found = small_site.import_file(path.parent)
    assert [(one.verdict, one.read_as, one.reason) for one in found] == [("stored", "mailman", "")] * 2
    assert b"it leaks, too.\n\nFrom the stock, please.\n" in small_site.raws()[0]
    assert small_site.raws()[1].endswith(b"\nFrom the crib.\n")
    assert small_site.tree()["answer@example.org"] == ("seal@example.org", 1, "in-reply-to")


def test_the_export_of_unquoted_lines_is_quoted_and_gives_the_same_messages(
    small_site: SmallSite, tmp_path: Path
) -> None:
    small_site.import_file(written(tmp_path, LISTNAME))
    out = tmp_path / "out.mbox"
    list(exporting.to_mbox(small_site.site.database, small_site.community().id, out))
    assert out.read_bytes() == LISTNAME.replace(b"\nFrom what", b"\n>From what").replace(
        b"\nFrom sam", b"\n>From sam"
    ).replace(b"\nFrom the", b"\n>From the")
    assert [one.raw for one in mbox.read(out)] == small_site.raws()


# --- Mailman 3: HyperKitty's export, of now and of before it stopped obscuring addresses ------------------------------

HYPERKITTY = b"""\
From ana@example.org Mon Mar  2 07:00:00 2026
From: Ana Berg <ana@example.org>
To: pump@lists.example.org
Subject: [Pump] Seal leaks
Date: Mon, 02 Mar 2026 08:00:00 +0100
Message-ID: <seal@example.org>
Content-Type: multipart/mixed; boundary="===============4519041262563143047=="
MIME-Version: 1.0

--===============4519041262563143047==
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: 7bit

From here it leaks. Ask sam(a)example.org.

--===============4519041262563143047==--


From li@example.org Tue 03 Mar 2026 08:00:00 AM UTC
From: Li <li@example.org>
To: pump@lists.example.org
Subject: [Pump] Re: Seal leaks
Date: Tue, 03 Mar 2026 09:00:00 +0100
Message-ID: <answer@example.org>
In-Reply-To: seal@example.org
Content-Type: multipart/mixed; boundary="===============0000000000000000001=="
MIME-Version: 1.0

--===============0000000000000000001==
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: 7bit

The new one.

--===============0000000000000000001==--


"""
OBSCURED = (
    HYPERKITTY.replace(b"ana@example.org>", b"ana at example.org>")
    .replace(b"Li <li@example.org>", b"li at example.org")
    .replace(b"From ana@", b"From ana at ")
    .replace(b"From li@", b"From li at ")
    .replace(b"pump@lists", b"pump at lists")
)


@pytest.mark.parametrize(("data", "li"), [(HYPERKITTY, "Li"), (OBSCURED, "li@example.org")])
def test_a_hyperkitty_export_gives_its_threads_and_addresses(
    any_site: SmallSite, tmp_path: Path, data: bytes, li: str
) -> None:
    found = any_site.import_file(written(tmp_path, gzip.compress(data), "pump@lists.example.org-2026-03.mbox.gz"))
    assert [(one.verdict, one.read_as) for one in found] == [("stored", "hyperkitty")] * 2
    assert authors(any_site) == {
        "seal@example.org": ("Ana Berg", "ana@example.org"),
        "answer@example.org": (li, "li@example.org"),
    }
    assert any_site.tree()["answer@example.org"] == ("seal@example.org", 1, "in-reply-to")
    shown = any_site.shown()
    assert {row[4] for row in shown.values()} == {"pump@lists.example.org"}
    assert shown["seal@example.org"][6].strip() == "From here it leaks. Ask sam(a)example.org."
    dates = [one.envelope_date for one in mbox.read(tmp_path / "pump@lists.example.org-2026-03.mbox.gz")]
    assert dates == [datetime(2026, 3, day, hour, tzinfo=UTC) for day, hour in ((2, 7), (3, 8))]


# --- public-inbox: t.mbox.gz, all.mbox.gz ----------------------------------------------------------------------------

PUBLIC_INBOX = b"""\
From mboxrd@z Thu Jan  1 00:00:00 1970
Received: from mail.example.org (mail.example.org [192.0.2.1])
\tby lists.example.org (Postfix) with ESMTP id 1A2B3C;
\tMon,  2 Mar 2026 07:00:05 +0000 (UTC)
From: Ana Berg <ana@example.org>
To: pump@lists.example.org
Subject: Seal leaks
Date: Mon,  2 Mar 2026 08:00:00 +0100
Message-Id: <seal@example.org>
List-Id: <pump.lists.example.org>
Archived-At: <https://archive.example.org/pump/seal@example.org/>
List-Archive: <https://archive.example.org/pump/>
List-Post: <mailto:pump@lists.example.org>

>From what I see, it leaks.
>>From the stock, please.

From mboxrd@z Thu Jan  1 00:00:00 1970
From: Li <li@example.org>
To: pump@lists.example.org
Subject: Re: Seal leaks
Date: Tue,  3 Mar 2026 09:00:00 +0100
Message-Id: <answer@example.org>
In-Reply-To: <seal@example.org>
References: <seal@example.org>
Archived-At: <https://archive.example.org/pump/answer@example.org/>
List-Archive: <https://archive.example.org/pump/>
List-Post: <mailto:pump@lists.example.org>

The new one.

"""


def test_a_public_inbox_mbox_keeps_its_dates_and_comes_back_byte_for_byte(any_site: SmallSite, tmp_path: Path) -> None:
    found = any_site.import_file(written(tmp_path, gzip.compress(PUBLIC_INBOX), "t.mbox.gz"))
    assert [(one.verdict, one.read_as) for one in found] == [("stored", "public-inbox")] * 2
    assert [any_site.shown()[f"{name}@example.org"][5] for name in ("seal", "answer")] == [
        datetime(2026, 3, 2, 7, 0, tzinfo=UTC),
        datetime(2026, 3, 3, 8, 0, tzinfo=UTC),
    ]
    assert b"\n\nFrom what I see, it leaks.\n>From the stock" in any_site.raws()[0]
    out = tmp_path / "out.mbox"
    list(exporting.to_mbox(any_site.site.database, any_site.community().id, out))
    assert out.read_bytes() == PUBLIC_INBOX


# --- Google Takeout: a mailbox of Gmail ------------------------------------------------------------------------------


def gmail(number: int, labels: str, *, to: str = "pump@old.example.org", more: str = "", end: str = "\r\n") -> bytes:
    lines = [
        f"From 16854212356893412{number:02}@xxx Mon Mar 02 07:00:{number:02} +0000 2026",
        f"X-GM-THRID: 16854212356893412{number:02}",
        *([f"X-Gmail-Labels: {labels}"] if labels else []),
        "Delivered-To: ana@example.org",
        "From: Li <li@example.org>",
        f"To: {to}",
        *([more] if more else []),
        f"Subject: Mail {number}",
        f"Date: Mon, 02 Mar 2026 08:00:{number:02} +0100",
        f"Message-ID: <{number}@example.org>",
        "",
        ">From what I see, it leaks.",
        "",
        "",
    ]
    return end.join(lines).encode()


TAKEOUT = (
    gmail(1, "Inbox,Important,Opened"),
    gmail(2, "Sent", to="Sam <SAM@example.org>, Pump <Pump@Old.example.org>", end="\n"),
    gmail(3, "Spam,Category Promotions"),
    gmail(4, "Trash"),
    gmail(5, "Drafts"),
    gmail(6, "Chat"),
    gmail(7, "=?UTF-8?Q?Archiviert,Ge=C3=B6ffnet,Entw=C3=BCrfe?="),
    gmail(
        8, '=?UTF-8?Q?Messages_archiv=C3=A9s,Cat=C3=A9gorie=C2=A0:_E-mails_?=\r\n =?UTF-8?Q?personnels,"Trash,_bin"?='
    ),
    gmail(9, "Inbox", to="ana@example.org"),
    gmail(10, "Inbox", to="ana@example.org", more="List-ID: Pump <pump.old.example.org>"),
    gmail(11, "Inbox", to="bigpump@old.example.org"),
    gmail(12, ""),
)


def test_of_a_gmail_mailbox_only_the_lists_mail_is_taken(small_site: SmallSite, tmp_path: Path) -> None:
    path = written(tmp_path, b"".join(TAKEOUT), "Takeout/Mail/All mail Including Spam and Trash.mbox")
    found = small_site.import_file(tmp_path / "Takeout", wanted="pump@old.example.org")
    assert {one.read_as for one in found} == {"gmail"}
    others = "It does not name pump@old.example.org; --list ADDRESS says which list's mail is wanted."
    assert [(one.verdict, one.reason) for one in found] == [
        ("stored", ""),
        ("stored", ""),
        ("refused", "It is spam in Gmail, and no list mail."),
        ("refused", "It is trash in Gmail, and no list mail."),
        ("refused", "It is a draft in Gmail, and no list mail."),
        ("refused", "It is a chat in Gmail, and no list mail."),
        ("refused", "It is a draft in Gmail, and no list mail."),
        ("stored", ""),  # "Trash, bin" is a label of the person's own
        ("refused", others),
        ("stored", ""),
        ("refused", others),
        ("stored", ""),
    ]
    assert verdicts(small_site.import_file(path)) == ["refused"] * 12, "it is not said which list: none is named pump"
    assert len(small_site.raws()) == 5


def test_a_mailbox_with_mixed_line_ends_comes_back_byte_for_byte(small_site: SmallSite, tmp_path: Path) -> None:
    data = (
        gmail(1, "Inbox")
        + gmail(2, "Sent", end="\n")
        + gmail(3, "")
        + gmail(4, "").replace(b"\r\n", b"\n", 1)[:-2]
        + b"\n"
    )
    path = written(tmp_path, data)
    assert verdicts(small_site.import_file(path, wanted="pump@old.example.org")) == ["stored"] * 4
    out = tmp_path / "out.mbox"
    list(exporting.to_mbox(small_site.site.database, small_site.community().id, out))
    assert out.read_bytes() == data


def test_a_mailbox_of_the_communitys_own_mail_needs_no_list(small_site: SmallSite, tmp_path: Path) -> None:
    path = written(tmp_path, gmail(1, "Inbox", to="Pump <pump@lists.example.org>") + gmail(2, "Inbox"))
    assert verdicts(small_site.import_file(path)) == ["stored", "refused"]


def test_import_takes_only_the_list_that_is_named_out_of_any_mailbox(small_site: SmallSite, tmp_path: Path) -> None:
    path, log = written(tmp_path, LISTNAME), tmp_path / "verdicts.jsonl"
    (tmp_path / "tidings.toml").write_text("")
    small_site.site.close()
    tidings = Program(tmp_path / "tidings.toml")
    counts = {"stored": 0, "duplicate": 0, "held": 0, "refused": 2}
    assert tidings("import", "pump", path, "--list", "valves@lists.example.org", "--json").json == counts
    ran = tidings("import", "pump", path, "--list", "pump@lists.example.org", "--verdicts", log, "--json")
    assert ran.json == counts | {"stored": 2, "refused": 0}
    assert [json.loads(line)["read_as"] for line in log.read_text().splitlines()] == ["mailman"] * 2
    assert "no e-mail address" in tidings("import", "pump", path, "--list", "pump", status=2).err


# --- Google Takeout: a group -----------------------------------------------------------------------------------------

GROUP = b"""\
From 28668125511680@xxx Mon Mar 02 07:00:00 +0000 2026\r
X-GM-THRID: 28616527183872\r
X-Google-Groups: pump\r
X-Google-Thread: 428920,10b56905889cf582\r
X-Google-Attributes: gid428920,domainid0,private,googlegroup\r
X-Google-Language: GERMAN,ASCII\r
X-BeenThere: pump@googlegroups.com\r
X-Gmail-Labels: =?UTF-8?Q?Las_respuestas_del_tema_est=C3=A1n_bloqueadas?=\r
Date: Mon, 02 Mar 2026 08:00:00 +0100\r
From: Ana Berg <ana@example.org>\r
To: pump@googlegroups.com\r
Message-ID: <seal@example.org>\r
Subject: Seal leaks\r
\r
It leaks.\r
\r
From 28668125511681@xxx Tue Mar 03 08:00:00 +0000 2026
X-GM-THRID: 28616527183872
X-Google-Groups: pump
Date: Tue, 03 Mar 2026 09:00:00 +0100
From: Li <li@example.org>
To: Ana Berg <ana@example.org>
Message-ID: <answer@example.org>
In-Reply-To: <seal@example.org>
Subject: Re: Seal leaks

The new one.

"""


def test_a_takeout_of_a_google_group_is_list_mail_whatever_it_names(small_site: SmallSite, tmp_path: Path) -> None:
    path = written(tmp_path, GROUP, "Takeout/Groups/googlegroups.com/owned/pump@googlegroups.com/topics.mbox")
    found = small_site.import_file(path)
    assert [(one.verdict, one.read_as, one.reason) for one in found] == [("stored", "google-groups", "")] * 2
    assert small_site.tree()["answer@example.org"] == ("seal@example.org", 1, "in-reply-to")
    out = tmp_path / "out.mbox"
    list(exporting.to_mbox(small_site.site.database, small_site.community().id, out))
    assert out.read_bytes() == GROUP


# --- Thunderbird and Eudora ------------------------------------------------------------------------------------------

THUNDERBIRD = b"""\
From - Mon Mar  2 08:00:00 2026
X-Mozilla-Status: 0001
X-Mozilla-Status2: 00000000
From: Ana Berg <ana@example.org>
Date: Mon, 02 Mar 2026 08:00:00 +0100
Message-ID: <seal@example.org>

It leaks.

From - Tue Mar  3 08:00:00 2026
X-Mozilla-Status: 0009
From: Li <li@example.org>
Date: Tue, 03 Mar 2026 08:00:00 +0100
Message-ID: <answer@example.org>

Deleted.

From - Tue Mar  3 08:00:00 2026
X-Mozilla-Status: none
From: Sam <sam@example.org>
Date: Tue, 03 Mar 2026 08:00:00 +0100
Message-ID: <odd@example.org>

Kept.

"""
EUDORA = b"""\
From ???@???
From: Ana Berg <ana@example.org>
Date: Mon, 02 Mar 2026 08:00:00 +0100
Message-ID: <seal@example.org>

It leaks.
From ???@???
is a line of its own files.
From ???@??? Tue Mar 03 08:00:00 2026
From: Li <li@example.org>
Date: Tue, 03 Mar 2026 09:00:00 +0100
Message-ID: <answer@example.org>

The new one.
"""


def test_what_was_deleted_in_thunderbird_stays_out(small_site: SmallSite, tmp_path: Path) -> None:
    written(tmp_path, THUNDERBIRD, "Mail/Inbox")
    written(tmp_path, b'// <!-- <mdb:mork:z v="1.4"/> -->\n', "Mail/Inbox.msf")
    found = small_site.import_file(tmp_path / "Mail")
    assert [(one.verdict, one.read_as) for one in found] == [
        ("stored", "mozilla"),
        ("refused", "mozilla"),
        ("stored", "mozilla"),
    ]
    assert found[1].reason == "It was deleted in the mail program that kept it."


def test_from_lines_without_a_date_part_messages_too(small_site: SmallSite, tmp_path: Path) -> None:
    found = small_site.import_file(written(tmp_path, EUDORA))
    assert [(one.verdict, one.read_as) for one in found] == [("stored", "mbox")] * 2
    assert small_site.raws()[0].endswith(b"It leaks.\nFrom ???@???\nis a line of its own files.\n")
    assert small_site.shown()["seal@example.org"][5] == datetime(2026, 3, 2, 7, 0, tzinfo=UTC)


def test_the_date_that_git_writes_for_none_is_none(tmp_path: Path) -> None:
    line = b"From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n"
    (found,) = mbox.read(written(tmp_path, line + PLAIN_FIELDS))
    assert found.envelope_date is None
