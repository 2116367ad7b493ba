"""Whole mails as calendar programs answer an invitation: made-up people and words, the programs' own ways of writing.

Each of them differs from the others in PRODID, order and quoting of parameters, folding, line ends, encodings, and the
parts of the mail that it puts the object into.
"""

import base64
import quopri
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

UID = "pump-12@lists.example.org"
STAMP = 1_791_709_200_000_000  # 2026-10-11 09:00 UTC, in microseconds
_TIMES = "DTSTART:20261021T130000Z\nDTEND:20261021T140000Z"
_SAM, _ANA, _RAJ = (f"{name}@example.org" for name in ("sam", "ana", "raj"))
_ORGANIZER = "pump+meeting@lists.example.org"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A mail, and what is to be read in it where that is not a plain yes of Sam's."""

    raw: bytes
    expected: dict[str, Any] = field(default_factory=dict)


# --- how objects are written ------------------------------------------------------------------------------------------


def crlf(text: str) -> bytes:
    return text.strip("\n").replace("\n", "\r\n").encode() + b"\r\n"


def folded(data: bytes, *, at: int = 75, by: bytes = b"\r\n ") -> bytes:
    """Folded at octets, whatever these are part of."""
    out = []
    for line in data.split(b"\r\n"):
        pieces = [line[:at]]
        pieces += [line[place : place + at - 1] for place in range(at, len(line), at - 1)]
        out.append(by.join(pieces))
    return b"\r\n".join(out)


def calendar(
    prodid: str,
    attendee: str,
    *,
    method: str = "METHOD:REPLY\n",
    more: str = "",
    uid: str = UID,
    sequence: str = "SEQUENCE:0\n",
    stamp: str = "DTSTAMP:20261011T090000Z",
    before: str = "",
) -> bytes:
    return crlf(
        f"BEGIN:VCALENDAR\nPRODID:{prodid}\nVERSION:2.0\n{method}{before}BEGIN:VEVENT\nORGANIZER:mailto:{_ORGANIZER}\n"
        f"{attendee}\n{stamp}\n{_TIMES}\nUID:{uid}\n{sequence}{more}SUMMARY:Weekly hour\nEND:VEVENT\nEND:VCALENDAR"
    )


# --- how mails are built ----------------------------------------------------------------------------------------------


def part(kind: str, data: bytes, encoding: str = "7bit", more: str = "") -> bytes:
    body = {
        "base64": lambda: base64.encodebytes(data).replace(b"\n", b"\r\n"),
        "quoted-printable": lambda: quopri.encodestring(data.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n"),
    }.get(encoding.lower(), lambda: data)()
    fields = f"Content-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n{more}"
    return fields.replace("\n", "\r\n").encode() + b"\r\n" + body


def multi(kind: str, *parts: bytes, boundary: str = "") -> bytes:
    mark = (boundary or f"=_{kind}_{len(parts)}").encode()
    inside = b"".join(b"--" + mark + b"\r\n" + one + b"\r\n" for one in parts)
    return b'Content-Type: multipart/%s; boundary="%s"\r\n\r\n%s--%s--\r\n' % (kind.encode(), mark, inside, mark)


def mail(content: bytes, *, sender: str = f"Sam Fox <{_SAM}>", more: str = "") -> bytes:
    fields = (
        f"From: {sender}\nTo: {_ORGANIZER}\nSubject: Accepted: Weekly hour\n"
        f"Date: Sun, 11 Oct 2026 11:00:00 +0200\nMessage-ID: <1@example.org>\nMIME-Version: 1.0\n{more}"
    )
    return fields.replace("\n", "\r\n").encode() + content


_WORDS = part("text/plain; charset=utf-8", b"Sam Fox has accepted this invitation.\r\n")
_HTML = part("text/html; charset=utf-8", b"<p>Sam Fox has accepted this invitation.</p>\r\n", "quoted-printable")
_WINDOWS_ZONE = """BEGIN:VTIMEZONE
TZID:W. Europe Standard Time
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
"""
_ALARM = "BEGIN:VALARM\nACTION:EMAIL\nATTENDEE:mailto:alarm@example.org\nCOMMENT:not this\nEND:VALARM\n"


def google(partstat: str = "ACCEPTED", *, method: str = "REPLY", params: str = "", more: str = "") -> bytes:
    data = folded(
        calendar(
            "-//Google Inc//Google Calendar 70.9054//EN",
            f"ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT={partstat};CN=Sam Fox;X-NUM-GUESTS=0{params}"
            f":mailto:{_SAM}",
            method=f"CALSCALE:GREGORIAN\nMETHOD:{method}\n",
            more=f"CREATED:20261001T083000Z\nDESCRIPTION:\nLAST-MODIFIED:20261011T090000Z\n{more}STATUS:CONFIRMED\n",
        )
    )
    shown = part(f'text/calendar; charset="UTF-8"; method={method}', data)
    file = part(
        'application/ics; name="invite.ics"', data, "base64", 'Content-Disposition: attachment; filename="invite.ics"\n'
    )
    plain = part('text/plain; charset="UTF-8"; format=flowed; delsp=yes', b"Sam Fox has accepted.\r\n", "base64")
    return mail(
        multi("mixed", multi("alternative", plain, _HTML, shown, boundary="000000000000a1"), file, boundary="0000a2"),
        more=f"Sender: Google Calendar <calendar-notification@google.example>\nReply-To: Sam Fox <{_SAM}>\n",
    )


def outlook(partstat: str = "ACCEPTED", *, more: str = "", sequence: str = "SEQUENCE:0\n") -> bytes:
    """Outlook on a desktop with a server of another make: folds with a tab, names nobody."""
    data = folded(
        calendar(
            "-//Microsoft Corporation//Outlook 16.0 MIMEDIR//EN",
            f"ATTENDEE;PARTSTAT={partstat}:mailto:{_SAM}",
            method="METHOD:REPLY\nX-MS-OLK-FORCEINSPECTOROPEN:TRUE\n",
            more=f"PRIORITY:5\nTRANSP:OPAQUE\nCLASS:PUBLIC\n{more}X-MICROSOFT-CDO-BUSYSTATUS:BUSY\n"
            + "X-MICROSOFT-CDO-APPT-SEQUENCE:0\n",
            sequence=sequence,
        ),
        by=b"\r\n\t",
    )
    words = part('text/plain;\n\tcharset="us-ascii"', b"\r\n")
    shown = part('text/calendar; method=REPLY;\n\tcharset="utf-8"', data)
    return mail(
        multi("alternative", words, shown, boundary="----=_NextPart_000_0001_01DD5A00.00000001"),
        more="X-Mailer: Microsoft Outlook 16.0\nThread-Index: AQHZ3pXx7jd1\n",
    )


def exchange(partstat: str = "ACCEPTED", *, method: str = "REPLY", comment: str = "\\n", times: str = "") -> bytes:
    """Exchange and Outlook.com: base64, a zone of Windows, a comment that is a line end."""
    data = calendar(
        "Microsoft Exchange Server 2010",
        f"ATTENDEE;PARTSTAT={partstat};CN=Sam Fox:mailto:{_SAM}\nCOMMENT;LANGUAGE=en-US:{comment}",
        method=f"METHOD:{method}\n",
        before=_WINDOWS_ZONE,
        more=f"{times}CLASS:PUBLIC\nPRIORITY:5\nTRANSP:OPAQUE\nSTATUS:CONFIRMED\nX-MICROSOFT-CDO-INSTTYPE:0\n",
    )
    words = part('text/plain; charset="iso-8859-1"', b"\r\n", "quoted-printable")
    html = part('text/html; charset="iso-8859-1"', b"<html></html>\r\n", "quoted-printable")
    shown = part(f'text/calendar; charset="utf-8"; method={method}', folded(data), "base64")
    return mail(
        multi("alternative", words, html, shown, boundary="_000_AB1PR01MB0001_"), more="Accept-Language: en-US\n"
    )


def exchange_2003() -> bytes:
    """What CDO wrote: capitals in MAILTO, the object as the only content."""
    data = calendar(
        "Microsoft CDO for Microsoft Exchange",
        f'ATTENDEE;PARTSTAT=DECLINED;RSVP=FALSE;CN="Sam Fox":MAILTO:{_SAM}',
        more="X-MICROSOFT-CDO-IMPORTANCE:1\nX-MICROSOFT-CDO-BUSYSTATUS:FREE\n",
    )
    return mail(
        part('text/calendar; method=REPLY;\n\tcharset="utf-8"', folded(data), "quoted-printable"),
        more="content-class: urn:content-classes:calendarmessage\n",
    )


def apple_mail() -> bytes:
    data = calendar(
        "-//Apple Inc.//macOS 15.5//EN",
        f'ATTENDEE;CN="Sam Fox";CUTYPE=INDIVIDUAL;EMAIL="{_SAM}";PARTSTAT=TENTATIVE:mailto:{_SAM}',
        method="METHOD:REPLY\nCALSCALE:GREGORIAN\n",
    )
    shown = part(
        "text/calendar;\n\tmethod=REPLY;\n\tcharset=utf-8;\n\tname=iCal-20261011-110000.ics",
        folded(data),
        "quoted-printable",
        "Content-Disposition: attachment;\n\tfilename=iCal-20261011-110000.ics\n",
    )
    return mail(multi("alternative", _WORDS, shown, boundary="Apple-Mail=_1D2E"), more="X-Mailer: iCal (3.0)\n")


def icloud() -> bytes:
    """A principal's path for an address, which stands in EMAIL (RFC 7986)."""
    data = calendar(
        "-//Apple Inc.//iCloud Calendar 2420B87//EN",
        f"ATTENDEE;CN=Sam Fox;CUTYPE=INDIVIDUAL;EMAIL={_SAM};PARTSTAT=ACCEPTED:/aHR0cDovL2V4YW1wbGU/principal/",
    )
    shown = part('text/calendar; charset="UTF-8"; method=REPLY; component=VEVENT', folded(data), "base64")
    file = part("application/ics; name=invite.ics", folded(data), "base64", "Content-Disposition: attachment\n")
    return mail(multi("mixed", multi("alternative", _WORDS, _HTML, shown, boundary="b2"), file, boundary="b1"))


def thunderbird(answer: str = "ACCEPTED") -> bytes:
    data = calendar(
        "-//Mozilla.org/NONSGML Mozilla Calendar V1.1//EN",
        f"ATTENDEE;CN=Sam Fox;PARTSTAT={answer};ROLE=REQ-PARTICIPANT:mailto:{_SAM}",
        more="X-MOZ-RECEIVED-SEQUENCE:0\nX-MOZ-RECEIVED-DTSTAMP:20261001T083000Z\nX-MOZ-SEND-INVITATIONS:TRUE\n",
    )
    shown = part("text/calendar; method=REPLY; charset=UTF-8", folded(data), "8BIT")
    file = part(
        'application/ics; name="invite.ics"',
        folded(data),
        "8bit",
        "Content-Disposition: attachment; filename=invite.ics\n",
    )
    words = part("text/plain; charset=UTF-8; format=flowed", b"Sam Fox has accepted your event invitation.\r\n")
    return mail(
        multi("mixed", multi("alternative", words, shown, boundary="Boundary_(ID_2)"), file, boundary="Boundary_(ID_1)")
    )


def evolution() -> bytes:
    """The METHOD of the part in quotes, and LANGUAGE behind the name."""
    data = calendar(
        "-//Ximian//NONSGML Evolution Calendar//EN",
        f"ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;RSVP=TRUE;CN=Sam Fox;LANGUAGE=en"
        f":MAILTO:{_SAM}",
        method="CALSCALE:GREGORIAN\nMETHOD:REPLY\n",
    )
    shown = part('text/calendar; name="meeting.ics"; charset="utf-8"; METHOD="REPLY"', folded(data))
    return mail(multi("alternative", _WORDS, shown, boundary="=-abc"), more="X-Mailer: Evolution 3.52\n")


def korganizer() -> bytes:
    """The METHOD of the part in small letters."""
    data = calendar(
        "-//K Desktop Environment//NONSGML libkcal 4.3//EN",
        f'ATTENDEE;CN="Sam Fox";RSVP=TRUE;PARTSTAT=ACCEPTED;ROLE=REQ-PARTICIPANT;X-UID=94001:mailto:{_SAM}',
        more="X-KDE-ICAL-IMPLEMENTATION-VERSION:1.0\nCREATED:20261001T083000Z\n",
    )
    shown = part('text/calendar; name="cal.ics"; method="reply"; charset="utf-8"', folded(data), "quoted-printable")
    return mail(multi("mixed", _WORDS, shown, boundary="nextPart1"), more="User-Agent: KMail/5.24\n")


def notes(partstat: str = "ACCEPTED", *, method: str = "REPLY", comment: str = "", delegate: str = "") -> bytes:
    """Lotus Notes: its kind of name, a comment that has another form elsewhere, folds before the colon."""
    data = calendar(
        "-//Lotus Development Corporation//NONSGML Notes 9.0.1//EN_C",
        f'ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT={partstat};CN="Sam Fox/Plant/Example";RSVP=FALSE{delegate}\n'
        f" :mailto:{_SAM}",
        method=f"METHOD:{method}\n",
        more=(f'COMMENT;ALTREP="CID:<FFFF__=0ABB0@example.org>":{comment}\n' if comment else "")
        + "X-LOTUS-UPDATE-SEQ:1\nX-LOTUS-NOTESVERSION:2\nX-LOTUS-APPTTYPE:3\n",
    )
    shown = part(
        f"text/calendar; method={method}; charset=UTF-8", data, "base64", "Content-ID: <1__=0ABB@example.org>\n"
    )
    words = part("text/plain; charset=US-ASCII", b"\r\n")
    return mail(multi("mixed", multi("alternative", words, shown, boundary="1__=b"), boundary="0__=a"))


def yahoo() -> bytes:
    """The same status twice."""
    data = calendar(
        "-//Yahoo//Calendar//EN",
        f"ATTENDEE;PARTSTAT=DECLINED;CN=Sam Fox;ROLE=REQ_PARTICIPANT;RSVP=TRUE:mailto:{_SAM}",
        more="STATUS:CONFIRMED\nSTATUS:CONFIRMED\nCLASS:PUBLIC\nX-YAHOO-YID:sam\n",
    )
    shown = part('text/calendar; method=REPLY; charset="utf-8"', data.replace(b"\r\n", b"\n"), "base64")
    return mail(multi("mixed", multi("alternative", _WORDS, _HTML, shown, boundary="y2"), boundary="y1"))


def nextcloud() -> bytes:
    data = folded(
        calendar(
            "-//Sabre//Sabre VObject 4.5.6//EN",
            f"ATTENDEE;PARTSTAT=ACCEPTED;CN=Sam Fox:mailto:{_SAM}",
            method="CALSCALE:GREGORIAN\nMETHOD:REPLY\n",
            more="REQUEST-STATUS:2.0;Success\n",
        )
    )
    file = part(
        "text/calendar; method=REPLY; charset=UTF-8; name=event.ics",
        data,
        "base64",
        "Content-Disposition: attachment; filename=event.ics\n",
    )
    return mail(
        multi("mixed", multi("alternative", _WORDS, _HTML, boundary="_=_symfony_2"), file, boundary="_=_symfony_1")
    )


def sabre() -> bytes:
    """A groupware on Sabre: only line feeds, the object beside HTML with its pictures."""
    data = calendar("-//Sabre//Sabre VObject 4.1.3//EN", f"ATTENDEE;CN=Sam Fox;PARTSTAT=ACCEPTED:mailto:{_SAM}")
    shown = part("text/calendar; charset=UTF-8; method=REPLY", data.replace(b"\r\n", b"\n"), "base64")
    related = multi("related", _HTML, part("image/png; name=logo.png", b"PNG", "base64"), boundary="r")
    file = part("application/ics; name=meeting.ics", data, "base64", "Content-Disposition: attachment\n")
    return mail(multi("mixed", multi("alternative", related, shown, boundary="a"), file, boundary="m"))


def zimbra() -> bytes:
    data = calendar(
        "Zimbra-Calendar-Provider",
        f"ATTENDEE;CN=Sam Fox;ROLE=REQ-PARTICIPANT;PARTSTAT=TENTATIVE:mailto:{_SAM}",
        sequence="",
        more="X-MICROSOFT-CDO-INTENDEDSTATUS:BUSY\nSEQUENCE:0\nCOMMENT:I may be late\\, by 10 minutes\n",
    )
    shown = part("text/calendar; name=meeting.ics; method=REPLY; charset=utf-8", folded(data))
    return mail(multi("alternative", _WORDS, _HTML, shown, boundary="----=_Part_1_2.3"), more="X-Mailer: Zimbra 9.0\n")


def groupwise() -> bytes:
    data = calendar(
        "-//Novell Inc//Groupwise 8.0.2 ",
        f"ATTENDEE;CN=Sam Fox;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED:\n MAILTO:{_SAM}",
        more="X-GWSHOW-AS:BUSY\nX-GWITEM-TYPE:APPOINTMENT\nX-GWRECORDID:4799C83D.$$$.$$$.100\n",
    )
    shown = part("text/calendar; charset=utf-8; method=REPLY; name=accept.ics", data, "quoted-printable")
    return mail(
        multi("mixed", _WORDS, shown, boundary="=__Part1__="), more="X-Mailer: Novell GroupWise Internet Agent 8.0.2\n"
    )


def android() -> bytes:
    """Android's own program: the least that can be said."""
    data = calendar("AndroidEmail", f"ATTENDEE;PARTSTAT=ACCEPTED:MAILTO:{_SAM}")
    shown = part('text/calendar; charset=utf-8; name="invite.ics"; method=REPLY', data, "base64")
    return mail(multi("alternative", _WORDS, shown, boundary="--_com.android.email_1"))


def samsung() -> bytes:
    """The answer in a file that calls itself only bytes."""
    data = calendar(
        "-//Samsung//Calendar//EN", f"ATTENDEE;CN=Sam Fox;PARTSTAT=DECLINED;ROLE=REQ-PARTICIPANT:MAILTO:{_SAM}"
    )
    file = part("application/octet-stream", data, "base64", 'Content-Disposition: attachment; filename="Meeting.ICS"\n')
    return mail(multi("mixed", _WORDS, file, boundary="--_com.samsung.android.email_1"))


def sogo() -> bytes:
    data = calendar(
        "-//Inverse inc./SOGo 5.11.0//EN",
        f"ATTENDEE;PARTSTAT=ACCEPTED;CN=Sam Fox;ROLE=REQ-PARTICIPANT;RSVP=TRUE:mailto:{_SAM}",
        more=_ALARM,
    )
    shown = part("text/calendar; method=REPLY; charset=utf-8", folded(data), "quoted-printable")
    return mail(multi("mixed", _HTML, shown, boundary="----=_=-_OpenGroupware_org_NGMime-1"))


def horde() -> bytes:
    """No METHOD inside, only in the fields of the part."""
    data = calendar(
        "-//The Horde Project//Horde iCalendar Library//EN",
        f"ATTENDEE;CN=Sam Fox;PARTSTAT=ACCEPTED:MAILTO:{_SAM}",
        method="",
    )
    shown = part("text/calendar; charset=UTF-8; method=REPLY; name=event-reply.ics", folded(data), "quoted-printable")
    return mail(multi("alternative", _WORDS, shown, boundary="=_h"))


def open_xchange() -> bytes:
    """Small letters where others have capitals, a part in 8 bits that says it is ASCII."""
    data = calendar(
        "Open-Xchange",
        f"attendee;cn=Sam Fóx;partstat=accepted;cutype=INDIVIDUAL:mailto:{_SAM}",
        method="method:reply\n",
        stamp="dtstamp:20261011t090000z",
    )
    shown = part("text/calendar; charset=us-ascii; method=reply", data, "8bit")
    return mail(multi("mixed", multi("alternative", _WORDS, _HTML, shown, boundary="p2"), boundary="p1"))


def fastmail() -> bytes:
    data = calendar(
        "-//CyrusIMAP.org/Cyrus 3.11.0//EN",
        f"ATTENDEE;X-JMAP-ID=abc;SCHEDULE-STATUS=2.0;PARTSTAT=ACCEPTED;CN=Sam Fox;ROLE=REQ-PARTICIPANT:mailto:{_SAM}",
        method="METHOD:REPLY\nX-APPLE-CALENDAR-COLOR:#fff\n",
        sequence="SEQUENCE:2\n",
    )
    return mail(
        multi("mixed", _WORDS, part("text/calendar; charset=utf-8; method=REPLY", folded(data), "8bit"), boundary="f")
    )


def windows_1252() -> bytes:
    """Charset and bytes are both of Windows."""
    data = calendar("-//Example//Old Organizer//DE", f'ATTENDEE;CN="Jörg Groß";PARTSTAT=ACCEPTED:mailto:{_SAM}')
    shown = part(
        "text/calendar; charset=windows-1252; method=REPLY", data.decode().encode("cp1252"), "quoted-printable"
    )
    return mail(multi("alternative", _WORDS, shown, boundary="w"))


def utf8_said_to_be_latin() -> bytes:
    data = calendar("-//Example//Gateway//EN", f"ATTENDEE;CN=Łukasz Żak;PARTSTAT=ACCEPTED:mailto:{_SAM}")
    return mail(part("text/calendar; charset=iso-8859-1; method=REPLY", data, "base64"))


def utf16() -> bytes:
    data = calendar("-//Example//Notepad//EN", f"ATTENDEE;CN=Łukasz Żak;PARTSTAT=ACCEPTED:mailto:{_SAM}")
    return mail(part("text/calendar; method=REPLY", b"\xff\xfe" + data.decode().encode("utf-16-le"), "base64"))


def folded_in_a_letter() -> bytes:
    """Folded by octets, in the middle of letters: RFC 5545 3.1 allows what readers of text trip over."""
    data = calendar("-//Example//Folder//JA", f"ATTENDEE;PARTSTAT=ACCEPTED;CN={'日本' * 20}:mailto:{_SAM}")
    return mail(part("text/calendar; charset=utf-8; method=REPLY", folded(data, at=40), "base64"))


def two_line_ends() -> bytes:
    """A gateway that made CR LF of each of CR and LF, so that there is an empty line before each fold."""
    data = folded(
        calendar(
            "-//Example//Gateway//EN",
            f"ATTENDEE;CN=Sam Fox;ROLE=REQ-PARTICIPANT;RSVP=TRUE;PARTSTAT=ACCEPTED:mailto:{_SAM}",
        )
    )
    return mail(part("text/calendar; charset=utf-8; method=REPLY", data.replace(b"\r\n", b"\r\n\r\n"), "base64"))


def vcalendar_1() -> bytes:
    """What came before iCalendar: STATUS for PARTSTAT, a name before the address."""
    data = calendar(
        "-//Example//Palm//EN",
        f'ATTENDEE;ROLE=ATTENDEE;STATUS=CONFIRMED;RSVP=NO:"Sam Fox" <{_SAM}>',
    ).replace(b"VERSION:2.0", b"VERSION:1.0")
    return mail(multi("mixed", _WORDS, part("text/x-vcalendar; name=reply.vcs", data, "base64"), boundary="v"))


def unquoted_colons() -> bytes:
    """Colons in parameters without quotes, as OBM writes them, and old programs in names."""
    data = calendar(
        "-//Aliasource Groupe LINAGORA//OBM Calendar 3.2.1//FR",
        f"ATTENDEE;CUTYPE=INDIVIDUAL;X-OBM-ID=id:302;PARTSTAT=ACCEPTED;CN=Shift: Sam Fox:MAILTO:{_SAM}",
    )
    return mail(part("text/calendar; charset=UTF-8; method=REPLY", data, "8bit"))


def all_guests() -> bytes:
    """A reply that names all guests as its program knows them; the sender is one of them."""
    others = (
        f"ATTENDEE;CN=Ana;PARTSTAT=ACCEPTED:mailto:{_ANA}\n"
        "ATTENDEE;CN=Sam Fox;PARTSTAT=DECLINED:mailto:SAM@Example.org\n"
        f"ATTENDEE;CN=Raj;PARTSTAT=TENTATIVE:mailto:{_RAJ}"
    )
    return mail(
        part("text/calendar; charset=utf-8; method=REPLY", calendar("-//Example//Groupware//EN", others), "base64")
    )


def delegating(*, raj: bool = True) -> bytes:
    """Sam sends Raj (RFC 5546 4.2.5); some programs name Raj too."""
    both = f'ATTENDEE;PARTSTAT=DELEGATED;CN=Sam Fox;DELEGATED-TO="mailto:{_RAJ}":mailto:{_SAM}'
    if raj:
        both += f'\nATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;DELEGATED-FROM="mailto:{_SAM}":mailto:{_RAJ}'
    return mail(
        part("text/calendar; charset=utf-8; method=REPLY", folded(calendar("-//Example//Suite//EN", both)), "base64")
    )


def delegate() -> bytes:
    """Raj comes for Sam; both are named, Sam first."""
    both = (
        f"ATTENDEE;PARTSTAT=DELEGATED;DELEGATED-TO=mailto:{_RAJ}:mailto:{_SAM}\n"
        f'ATTENDEE;PARTSTAT=ACCEPTED;CN="Raj, Patel";DELEGATED-FROM="MAILTO:{_SAM}","mailto:{_ANA}":MAILTO:{_RAJ}'
    )
    data = folded(calendar("-//Example//Suite//EN", both))
    return mail(part("text/calendar; charset=utf-8; method=REPLY", data, "base64"), sender=_RAJ)


def assistant() -> bytes:
    """Ana's office writes for Sam."""
    who = f'ATTENDEE;SENT-BY="mailto:{_ANA}";CN=Sam Fox;PARTSTAT=ACCEPTED:mailto:{_SAM}'
    return mail(part("text/calendar; method=REPLY", calendar("-//Example//Suite//EN", who)), sender=_ANA)


def one_of_a_series() -> bytes:
    data = calendar(
        "-//Example//Suite//EN",
        f"ATTENDEE;CN=Sam Fox;PARTSTAT=DECLINED:mailto:{_SAM}",
        more="RECURRENCE-ID;TZID=Europe/Berlin:20261021T150000\nRRULE:FREQ=SECONDLY;COUNT=999999999\n",
    )
    return mail(part("text/calendar; charset=utf-8; method=REPLY", data, "base64"))


def party_crasher() -> bytes:
    who = "ATTENDEE;CN=Eve;PARTSTAT=ACCEPTED:mailto:eve@example.net"
    return mail(
        part("text/calendar; method=REPLY", calendar("-//Example//Suite//EN", who)), sender="Eve <eve@example.net>"
    )


def refresh() -> bytes:
    data = calendar("-//Example//Suite//EN", f"ATTENDEE:mailto:{_SAM}", method="METHOD:REFRESH\n", sequence="")
    return mail(part("text/calendar; method=REFRESH", data))


def odd_address() -> bytes:
    who = "ATTENDEE;CN=Groß^'s ^^n;PARTSTAT=ACCEPTED:mailto:gr%C3%B6%C3%9Fe@example.org"
    return mail(part("text/calendar; method=REPLY", calendar("-//Example//Suite//EN", who)))


def _yes(make: Callable[[], bytes], **expected: Any) -> Reply:
    return Reply(raw=make(), expected=expected)


_NOTES = {"name": "Sam Fox/Plant/Example"}
REPLIES: dict[str, Reply] = {
    "Google, yes": _yes(google),
    "Google, no": Reply(raw=google("DECLINED"), expected={"answer": "no"}),
    "Google, maybe, with a note": Reply(
        raw=google("TENTATIVE", params=';X-RESPONSE-COMMENT="Late: traffic, perhaps"'),
        expected={"answer": "maybe", "comment": "Late: traffic, perhaps"},
    ),
    "Google, another time": Reply(
        raw=google("TENTATIVE", method="COUNTER", more="COMMENT:Thursday?\n"),
        expected={"method": "COUNTER", "answer": "maybe", "comment": "Thursday?"},
    ),
    "Outlook, yes": Reply(raw=outlook(), expected={"name": ""}),
    "Outlook, maybe": Reply(raw=outlook("TENTATIVE"), expected={"name": "", "answer": "maybe"}),
    "Outlook, no, with words": Reply(
        raw=outlook("DECLINED", more="COMMENT:On nights that week\\; sorry\\nSam\n"),
        expected={"name": "", "answer": "no", "comment": "On nights that week; sorry\nSam"},
    ),
    "Outlook, to a later version": Reply(raw=outlook(sequence="SEQUENCE:3\n"), expected={"name": "", "sequence": 3}),
    "Exchange, yes": _yes(exchange),
    "Exchange, no, with words": Reply(
        raw=exchange("DECLINED", comment="No\\, thanks\\n"), expected={"answer": "no", "comment": "No, thanks"}
    ),
    "Exchange, another time": Reply(
        raw=exchange(
            "TENTATIVE", method="COUNTER", times="X-MS-OLK-ORIGINALSTART;TZID=W. Europe Standard Time:20261021T150000\n"
        ),
        expected={"method": "COUNTER", "answer": "maybe"},
    ),
    "Exchange 2003, no": _yes(exchange_2003, answer="no"),
    "Apple Mail, maybe": _yes(apple_mail, answer="maybe"),
    "iCloud, yes": _yes(icloud),
    "Thunderbird, yes": _yes(thunderbird),
    "Thunderbird, no": Reply(raw=thunderbird("DECLINED"), expected={"answer": "no"}),
    "Evolution, yes": _yes(evolution),
    "KOrganizer, yes": _yes(korganizer),
    "Notes, yes": _yes(notes, **_NOTES),
    "Notes, no, with words": Reply(
        raw=notes("DECLINED", comment="Not on Wednesdays"),
        expected={**_NOTES, "answer": "no", "comment": "Not on Wednesdays"},
    ),
    "Notes, delegated": Reply(
        raw=notes("DELEGATED", delegate=f';DELEGATED-TO="mailto:{_RAJ}"'),
        expected={**_NOTES, "answer": "delegated", "delegated_to": [_RAJ]},
    ),
    "Notes, another time": Reply(
        raw=notes("TENTATIVE", method="COUNTER"), expected={**_NOTES, "method": "COUNTER", "answer": "maybe"}
    ),
    "Yahoo, no": _yes(yahoo, answer="no"),
    "Nextcloud, yes": _yes(nextcloud),
    "Sabre, yes": _yes(sabre),
    "Zimbra, maybe, with words": _yes(zimbra, answer="maybe", comment="I may be late, by 10 minutes"),
    "GroupWise, yes": _yes(groupwise),
    "Android, yes": _yes(android, name=""),
    "Samsung, no": _yes(samsung, answer="no"),
    "SOGo, yes, with an alarm": _yes(sogo),
    "Horde, yes": _yes(horde),
    "Open-Xchange, yes": _yes(open_xchange, name="Sam Fóx"),
    "Fastmail, yes": _yes(fastmail, sequence=2),
    "in windows-1252": _yes(windows_1252, name="Jörg Groß"),
    "in UTF-8 that says it is Latin": _yes(utf8_said_to_be_latin, name="Łukasz Żak"),
    "in UTF-16": _yes(utf16, name="Łukasz Żak"),
    "folded in a letter": _yes(folded_in_a_letter, name="日本" * 20),
    "with an empty line after each": _yes(two_line_ends),
    "vCalendar 1.0": _yes(vcalendar_1),
    "with colons outside quotes": _yes(unquoted_colons, name="Shift: Sam Fox"),
    "with all guests": _yes(all_guests, attendee="SAM@Example.org", answer="no"),
    "who delegates": _yes(delegating, answer="delegated", delegated_to=[_RAJ]),
    "who delegates, alone": Reply(raw=delegating(raj=False), expected={"answer": "delegated", "delegated_to": [_RAJ]}),
    "the delegate": _yes(delegate, attendee=_RAJ, name="Raj, Patel", delegated_from=[_SAM, _ANA]),
    "for somebody else": _yes(assistant, sent_by=_ANA),
    "one of a series": _yes(one_of_a_series, answer="no", recurrence_id="20261021T150000"),
    "nobody asked": _yes(party_crasher, attendee="eve@example.net", name="Eve"),
    "who asks for it again": _yes(refresh, method="REFRESH", name="", answer=""),
    "an address that is not ASCII": _yes(odd_address, attendee="größe@example.org", name='Groß"s ^n'),
}
