"""The lines that end a mail or stand around it without being its words: phones' lines, names, rules, disclaimers.

It says what one line or paragraph is; where such a one may stand is not its matter.
"""

import re

_WORDS_MOST = 10
_FROM_MOST = 4  # words of "From my phone"; "From my phone I cannot see it" is a sentence
_LINE_MOST = 120

_MY = re.compile(
    r"(?i)(?:sent|gesendet|envoyé|enviado|inviato|verzonden|verstuurd|sendt|skickat|wysłan[eo]|odesláno|отправлено|"
    r"надіслано|lähetetty|from|von)\b"
    r".{0,20}\b(?:my|mon|ma|meinem|mi|meu|mio|mijn|min|mina|mojego|mého|моего|мого)\b|(?:发自|從|从)我的"
)
_SENT = re.compile(
    r"(?i)(?:sent (?:from|via|with|by|using)|get \[?(?:outlook|blue ?mail) for|\w{1,20} from (?:my )?mobile$|"
    r"gesendet (?:von|mit)|von meinem|diese nachricht wurde von meinem|envoyé (?:de|depuis|avec|à partir)|"
    r"enviado (?:desde|do|de|a partir)|inviato da|(?:verzonden|verstuurd) (?:vanaf|met)|skickat från|skickades från|"
    r"sendt fra|hentet outlook|lähetetty|wysłan[eo] z|odesláno z|отправлено (?:с|из)|надіслано з|(?:发自|從|从)我的|"
    r"iphoneから送信|나의 )"
)
_FROM = re.compile(r"(?i)(?:from|von)\b(?!.{0,80}\b(?:sent|gesendet|geschickt|verschickt|geschrieben|verfasst)\b)")
_DEVICE = re.compile(
    r"(?i)i-?phone|i-?pad|i-?pod|\bios|android|blackberry|outlook|galaxy|samsung|nokia|huawei|xiaomi|mobil|handy|phone|"
    r"\bdevice|proton ?mail|yahoo|airmail|mailbox|tablet|\bcell\b|windows|\bhtc\b|gmail|thunderbird|\bk-9|"
    r"\bgmx\b|typeapp|blue ?mail|mailspring|sparrow|acompli|puhelim|móvil|celular|telefon|telefoon|смартфон|телефон"
)
_OUTLOOK = r"\[?outlook (?:for|für|pour|para|per|voor|för|til|till|dla|для|pro) (?:systemu )?(?:ios|android|mac)"
_GET_OUTLOOK = re.compile(
    r"(?i)(?:(?:get|download|obtenir|obtenez|télécharger|téléchargez|obtener|obtenga|descargar|ottieni|scarica|obter|"
    r"baixar|transferir|hämta|skaffa|hent|skaff deg|få|pobierz(?: aplikację)?|hanki|lataa|získejte|laden sie|"
    rf"holen sie sich|загрузить|скачать|下载|获取|取得)(?: o)? {_OUTLOOK}(?: herunter)?"
    rf"|{_OUTLOOK} (?:beziehen|herunterladen|holen|downloaden|ophalen)"
    r"|(?:ios|android) 版 outlook を入手|获取适用于 (?:ios|android) 的 outlook)"
    r"(?:\]?\s?[<(]https?://[^\s<>()]{1,200})?$"
)
# "Sent from TypeApp <https://typeapp.example.com/>": a link to what sent it.
_LINKED = re.compile(r"(?i)sent from (\w{4,20})(?: \w{1,20}){0,2}\s?[<(]https?://[^\s<>()/]{0,60}\1")
_MODEL = re.compile(r"Sent from my(?: [A-Z0-9][\w.+-]{0,20}){1,6}$")
_EXCUSE = re.compile(r"(?i)\s{0,4}(?:please|excuse|sorry|pardon|bitte|désolé|merci d)")
_RULE = re.compile(r"[ \t]{0,8}(?:[-_=*~#+—]{5,}|\u1427)[ \t]*$")  # U+1427 marks mail that a Gmail add-on tracks
_BREAK = re.compile(r"[ \t]{0,8}(?:[-_=—]{3,4}|(?:\* ?){3,10})[ \t]*$")
_RULE_ENDS = frozenset("-_=*~#+—\u1427 \t")
_NAME = re.compile(
    r"[-—–]\s?[^\W\d_a-z][\w.'’]{1,20}(?: [\w.'’]{1,20}){0,2} [^\W\d_a-z][\w.'’]{1,20}$"
    r"|/[^\W\d_a-z][\w.'’-]{1,20}(?: [^\W\d_a-z][\w.'’-]{1,20}){0,2}$"
)
_TITLES = (
    r"(?i)\W{0,8}(?:(?:legal |e-?mail |important )?(?:disclaimer|notice)|confidentiality(?: notice| note)?|"
    r"haftungsausschluss|vertraulichkeitshinweis|avis de confidentialité|aviso (?:legal|de confidencialidad)|"
    r"vrijwaring|ansvarsfraskrivelse)"
)
_TITLE = re.compile(rf"{_TITLES}\W{{0,8}}$")
_BEGINS_WITH_TITLE = re.compile(rf"{_TITLES}[*_]{{0,3}}\s?:\W{{1,8}}")
_CLOSING = re.compile(
    r"(?i)\s{0,4}(?:(?:many|kind|best|warm|with|my|mit|freundlichen|viele|beste|schöne|med|vänliga|venlig|bien|"
    r"un|cordial) ?){0,3}(?:thanks|thank you|regards|wishes|cheers|sincerely|yours|best|grüßen|grüße|mfg|cordialement|"
    r"saludo|saludos|saluti|groeten|groet|hälsningar|hilsen|mvh|kh)"
    r"(?: (?:and|&) (?:regards|thanks)| again)?[,.!]?\s{0,4}$"
)
_WARNING = re.compile(
    r"(?i)\W{0,4}(?:caution|external e?-?mail|warning|achtung|attention)\b.{0,40}\b(?:originated|comes?|came|kommt|"
    r"stammt|provient|sent)\b.{0,10}\b(?:from|von|de|d)\b.{0,12}(?:outside|external|extern|extérieur|l.extérieur)"
)
_DISCLAIMER = re.compile(
    r"(?i)(?:this|the information|die(?:se)?|ce|cet|este|esta|questo|questa|dit|deze|det|denna|ta|tato|это|данное|"
    r"confidentiality|disclaimer|notice)\b.{0,160}"
    r"(?:confidential|privileged|vertraulich|confidentiel|confidencial|riservat|vertrouwelijk|konfidentiel|"
    r"konfidenti|fortrolig|poufn|důvěrn|конфиденциальн)"
)
_RECIPIENT = re.compile(
    r"(?i)intended|recipient|addressee|empfänger|adressat|destinat|destinatari|geadresseerde|mottagare|modtager|"
    r"mottaker|adresat|получател|адресат"
)


def is_sent_from(line: str) -> bool:
    """Whether a line is a phone's or a program's own, such as "Sent from my iPhone"."""
    bare = line.strip(" \t*_<>()[]")
    if len(bare) > _LINE_MOST:
        return False
    if _GET_OUTLOOK.match(bare) or _LINKED.match(bare) or _MODEL.match(bare):
        return True
    if not (_SENT.match(bare) or _MY.match(bare)):
        return False
    cut = min((at for at in (bare.find(","), bare.find(". ")) if at >= 0), default=len(bare))
    first, rest = bare[:cut], bare[cut + 1 :]
    if len(first.split()) > (_FROM_MOST if _FROM.match(first) else _WORDS_MOST):
        return False
    if rest.strip() and not _EXCUSE.match(rest):
        return False
    return bool(_DEVICE.search(first)) or (bare.lower().startswith("sent from my ") and len(first.split()) <= 5)


def is_rule(line: str) -> bool:
    """Whether a line is nothing but a rule."""
    return line[-1:] in _RULE_ENDS and bool(_RULE.match(line))  # most lines end in a letter


def is_break(line: str) -> bool:
    """Whether a line is nothing but a rule, which may be as short as those that Markdown has."""
    return line[-1:] in _RULE_ENDS and bool(_BREAK.match(line) or _RULE.match(line))


def is_name(line: str) -> bool:
    """Whether a line is a name after a dash or a slash, as some sign: "-Ann Example", "/Ann"."""
    return bool(_NAME.match(line.rstrip()))


def is_title(line: str) -> bool:
    """Whether a line is the title of a disclaimer and nothing else."""
    return bool(_TITLE.match(line))


def begins_with_title(line: str) -> bool:
    """Whether a line begins with the title of a disclaimer and a colon, and goes on with its words."""
    return bool(_BEGINS_WITH_TITLE.match(line)) and not is_title(line)


def is_closing(line: str) -> bool:
    """Whether a line is nothing but the words before a name: "Thanks," or "Med venlig hilsen"."""
    return bool(_CLOSING.match(line[:_LINE_MOST]))


def is_warning(line: str) -> bool:
    """Whether a line is what a company's gateway puts above mail from outside."""
    return bool(_WARNING.match(line))


def is_disclaimer(paragraph: str) -> bool:
    """Whether a paragraph says that a mail is confidential and for whom."""
    title = _BEGINS_WITH_TITLE.match(paragraph)
    bare = paragraph[title.end() if title else 0 :].lstrip(" \t*_-")
    return bool(_DISCLAIMER.match(bare) and _RECIPIENT.search(bare))
