"""A post as it stands inside a digest: whole (RFC 2046 5.1.5), or as its author's words under a few fields (RFC 1153).

It parses no body and reads no database; which posts a digest has, and how many, is not its matter.
"""

import re
from dataclasses import dataclass

from tidings.mailer import compose, own_tokens

# Beside what no copy has: how the post came to us, and whom its author did not want to be seen.
_LEFT_OUT = (
    *compose.NOT_PASSED_ON,
    *("Bcc", "Resent-Bcc", "Delivered-To", "X-Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-*"),
    *("Apparently-To", "Received", "X-Received", "Received-SPF", "Authentication-Results", "ARC-*"),
)
_KEPT = ("date", "from", "to", "cc", "subject", "message-id", "keywords", "summary")  # RFC 1153, in its order
_SEPARATOR = re.compile(r"^-(-{29})$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Post:
    """A post and where it is: `message_id` is that of the archive, `words` are its author's own, `page` is its page.

    `reply_to` is the address that plain replies go to; empty where they go to whom the post names.
    """

    raw: bytes
    message_id: str
    words: str
    page: str
    reply_to: str
    domains: frozenset[str]  # at which addresses of ours lose their tokens


def whole(post: Post) -> bytes:
    """The post as a message of its own: its fields but for those of its way here, its body byte for byte.

    A body in which somebody quoted a token of ours is replaced by the author's words. Raises ValueError where no
    header block can be made of what is there.
    """
    fields, body = compose.split(compose.crlf(post.raw))
    fields = compose.fields_without_tokens(fields, post.domains)
    remove, add = [*_LEFT_OUT], [("Archived-At", f"<{post.page}>")]
    if not _has_id(fields, post.message_id):
        remove.append("Message-ID")
        add.append(("Message-ID", f"<{post.message_id}>"))
    if post.reply_to:
        remove.append("Reply-To")
        add.append(("Reply-To", post.reply_to))
    if own_tokens.in_mail(body):
        mime, body = compose.text_part(f"{_words(post)}\n", "plain")
        remove += ["MIME-Version", "Content-*"]
        add += [("MIME-Version", "1.0"), *mime]
    return compose.joined(fields, remove, add, body)


def in_words(post: Post) -> str:
    """The post as RFC 1153 has it: eight of its fields as they came, in their order, and what its author wrote."""
    fields = compose.fields_without_tokens(compose.split(compose.crlf(post.raw))[0], post.domains)
    if not _has_id(fields, post.message_id):
        fields = [one for one in fields if one[0] != "message-id"]
        fields.append(("message-id", f"Message-ID: <{post.message_id}>\r\n".encode()))
    kept = b"".join(part for name in _KEPT for found, part in fields if found == name)
    head = kept.decode("utf-8", "replace").replace("\r\n", "\n").rstrip("\n")
    # RFC 1153: a line that could be taken for the separator may begin with a blank.
    words = _SEPARATOR.sub(r" \1", _words(post))
    return f"{head}\n\n{words}"


def _has_id(fields: list[tuple[str, bytes]], message_id: str) -> bool:
    return [part.partition(b":")[2].strip() for name, part in fields if name == "message-id"] == [
        f"<{message_id}>".encode()
    ]


def _words(post: Post) -> str:
    return own_tokens.without_tokens(post.words).strip()
