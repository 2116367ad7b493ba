"""The lines that mail programs put above another's mail: header blocks, "Original Message", "Forwarded message".

It knows the words of some twenty languages; what is then folded is not its matter. Each look is at a few lines.
"""

import re
from collections.abc import Sequence

_BLOCK_MOST = 14  # lines of a header block
_LABEL_MOST = 30
_VALUE_MOST = 120
_ENOUGH = 3  # kinds of fields that make a block

# As Outlook, Apple Mail, Gmail, Notes and Thunderbird write them.
_LABELS = {
    "from": "from von de da van från fra od от від "
    "από lähettäjä kimden gönderen feladó 发件人 寄件者 差出人 送信者 보낸사람",
    "date": "sent date gesendet datum envoyé messagedu enviado enviada fecha data inviato verzonden skickat sendt dato "
    "wysłano odesláno στάλθηκε αποστολή ημερομηνία отправлено дата надіслано lähetetty päivämäärä tarih gönderildi "
    "elküldve 发送时间 日期 寄件日期 送信日時 日付 보낸날짜 날짜",
    "to": "to an à a para aan till til προς do komu кому vastaanottaja kime címzett 收件人 收件者 宛先 받는사람",
    "copy": "cc kopie kopia kopi copie copieà копия копія κοιν 抄送 副本 참조",
    "subject": "subject betreff objet sujet asunto oggetto onderwerp ämne emne temat předmět тема θέμα aihe konu tárgy "
    "assunto 主题 主旨 件名 제목",
    "reply": "reply-to antwortan risposta répondreà respondera",
}
_FIELDS = {label: field for field, labels in _LABELS.items() for label in labels.split()}
_PATCH = re.compile(r"(?i)[\s*]{0,4}\[[^\]]{0,40}\bpatch\b")
_NO_HEADING = frozenset(["received", "message-id", "return-path", "delivered-to", "content-type", "mime-version"])

_ORIGINAL = re.compile(
    r"(?i)[ \t*>_]{0,4}(?:-{2,20} ?(?:original message|original email|reply message|originalnachricht|"
    r"original-nachricht|ursprüngliche nachricht|ursprüngliche mail|message d.origine|message original|"
    r"mensaje original|messaggio originale|oorspronkelijk bericht|ursprungligt meddelande|originalmeddelande|"
    r"antwort nachricht|oprindelig (?:meddelelse|besked)|originalbesked|opprinnelig melding|mensagem original|"
    r"wiadomość oryginalna|oryginalna wiadomość|"
    r"původní zpráva|alkuperäinen viesti|исходное сообщение|оригинальное сообщение|початкове повідомлення|"
    r"eredeti üzenet|mesaj original|orijinal mesaj|原始邮件|原始郵件|元のメッセージ|원본 메시지) ?-{2,20}|"
    r"original message processed by [^ ]{1,20})[ \t*_]{0,4}$"
)
# As a program writes one of the two in a language that is not among these; what is below it has to tell.
_TITLE = re.compile(r"[ \t*>_]{0,4}-{5,20} ?[^\W\d_][^-\d]{1,40}-{5,20}[ \t*_]{0,4}$")
_TITLE_WORDS = 4
_UNDERLINE = re.compile(r"[ \t]{0,8}_{5,}[ \t]*$")
_CLOCK = re.compile(r"\d{1,2}[:.]\d\d")
_HOUR = re.compile(r"(?i)\s{0,4}\d{1,2}(?:[:.]\d\d|\s?[ap]m|\s?uhr|\s?h)\b")
_FORWARDED = re.compile(
    r"(?i)[ \t*>]{0,6}(?:-{2,20} ?(?:forwarded message|forwarding messages|forwarded by .{0,100}|"
    r"weitergeleitete nachricht|message transféré|message transmis|mensaje reenviado|mensagem encaminhada|"
    r"messaggio inoltrato|doorgestuurd bericht|vidarebefordrat meddelande|videresendt (?:meddelelse|melding)|"
    r"välitetty viesti|przekazana wiadomość|treść przekazanej wiadomości|přeposlaná zpráva|"
    r"пересылаемое сообщение|переслане повідомлення|"
    r"転送メッセージ|转发的邮件|转发邮件信息|轉寄的郵件|전달된 메시지|iletilen mesaj) ?-{2,20}|"
    r"(?:begin forwarded message|anfang der weitergeleiteten nachricht|début du message réexpédié|"
    r"début du message transféré|inicio del mensaje reenviado|inizio messaggio inoltrato|"
    r"begin doorgestuurd bericht|vidarebefordrat brev|start på videresendt besked):)[ \t*]{0,4}$"
)
_FORWARD_SUBJECT = re.compile(r"(?i)\s{0,4}(?:fwd?|wg|tr|rv|enc|i|doorst|vb|vs|vl|pd|пер|转发|轉寄|転送)\s?[:：]")


def may_be_one(line: str) -> bool:
    """Whether a line is worth asking what it heads: most have nothing of it, and this is cheap."""
    return ":" in line or "--" in line or "：" in line or "riginal " in line


def is_original(line: str) -> bool:
    """Whether a line says that the mail which was answered stands below."""
    return bool(_ORIGINAL.match(line))


def is_title(line: str) -> bool:
    """Whether a line between dashes may be a program's in any language, if the header block of a mail is below it."""
    return bool(_TITLE.match(line)) and len(line.strip("-*_> \t").split()) <= _TITLE_WORDS


def is_forwarded(line: str) -> bool:
    """Whether a line says that a mail stands below which was passed on to be read."""
    return bool(_FORWARDED.match(line))


def is_forward(subject: str) -> bool:
    """Whether a subject says that a mail is passed on."""
    return bool(_FORWARD_SUBJECT.match(subject[:20]))


def block(lines: Sequence[str], place: int) -> int:
    """How many lines from `place` on are the header block of another mail ("From: Sent: To: Subject:"); 0 for none.

    The head of a patch as `git format-patch` makes it, without "To:", is none: who pastes a patch wants it to be read.
    """
    first = _field(lines[place])
    if first != "from" and not (first == "date" and place + 1 < len(lines) and _field(lines[place + 1]) == "from"):
        return _underlined(lines, place) if first else 0
    found, end = _fields(lines, place)
    if "no" in found or _HOUR.match(found.get("from", "")):  # "From: 10:00" is when something begins
        return 0
    if len(found) < _ENOUGH:
        return _underlined(lines, place)
    patch = _PATCH.match(found.get("subject", "")) and "to" not in found
    return 0 if patch or not found.keys() & {"date", "subject"} else end - place


def _underlined(lines: Sequence[str], place: int) -> int:
    """How many lines are a header block in any order below a line of `_`, as Hotmail had it; it says who and when."""
    above = place - 2 if place > 1 and not lines[place - 1].strip() else place - 1
    if above < 0 or not _UNDERLINE.match(lines[above]):
        return 0
    found: dict[str, str] = {}
    for at in range(place, min(place + _BLOCK_MOST, len(lines))):
        field = _field(lines[at])
        if not field:
            if lines[at].strip():
                return 0
            break
        found.setdefault(field, _value(lines[at]))
    told = "@" in found.get("from", "") and _CLOCK.search(found.get("date", "")) and "no" not in found
    return len(found) if told else 0


def _fields(lines: Sequence[str], place: int) -> tuple[dict[str, str], int]:
    """The fields from `place` on, the first value of each, and the line below the last."""
    found: dict[str, str] = {}
    end, blank = place, False
    for at in range(place, min(place + _BLOCK_MOST, len(lines))):
        line = lines[at]
        if not line.strip():
            blank = True
            continue
        field = _field(line)
        if blank and not field:  # HTML made text has blank lines inside; after one, only a field goes on
            break
        if field:
            found.setdefault(field, _value(line))
        elif len(found) >= _ENOUGH and not _goes_on(lines[at - 1], line):
            break
        end, blank = at + 1, False
    return found, end


def _goes_on(before: str, line: str) -> bool:
    """Whether a line is the rest of the field above it: a list of people, or a subject of several lines."""
    return before.rstrip().endswith((",", ";", "<")) or _field(before) in ("subject", "to", "copy") or line[:1] in " \t"


def _value(line: str) -> str:
    return line[:_VALUE_MOST].replace("：", ":").partition(":")[2]


def _field(line: str) -> str:
    """Which field of a header block a line is: a key of `_LABELS`, "no" for one that no program shows, or nothing."""
    head = line[:_LABEL_MOST].replace("：", ":")
    label, colon, _ = head.partition(":")
    bare = "".join(label.split()).strip("*_> ").lower()
    if not colon or not bare:
        return ""
    return "no" if bare in _NO_HEADING else _FIELDS.get(bare, "")
