"""SMTP replies that Tidings gives, named by number and meaning (RFC 5321 4.2, enhanced codes of RFC 3463).

Both ends of the mailer may use these; a test holds each name against its code.
"""

S250_ACCEPTED = "250 2.0.0 Accepted; it is on disk"
S250_SENDER = "250 2.1.0 Sender ok"
S250_RECIPIENT = "250 2.1.5 Recipient ok"
S421_TOO_MANY_CONNECTIONS = "421 4.7.0 Too many connections; try again later"
S421_SHUTTING_DOWN = "421 4.3.2 Shutting down; try again later"
S451_LOCAL_ERROR = "451 4.3.0 Something is wrong here; nothing was taken, try again later"
S452_NO_SPACE = "452 4.3.1 No space left here; try again later"
S452_TOO_MANY_RECIPIENTS = "452 4.5.3 Too many recipients; send the rest in another transaction"
S501_BAD_SENDER = "501 5.1.7 The sender's address is too long or holds what no address may"
S550_NO_SUCH_ADDRESS = "550 5.1.1 There is no such address here"
S550_BARE_LINE_ENDS = "550 5.5.2 A line ends in a bare CR or LF, or has a NUL; lines end in CRLF (RFC 5321 2.3.8)"
S550_COMMUNITY_CLOSED = "550 5.7.2 Only members may write to this community, and the From address is not a member's"
S550_RELAY_DENIED = "550 5.7.1 We do not relay"
S552_TOO_BIG = "552 5.3.4 The message is larger than we take"
S553_NEEDS_SMTPUTF8 = "553 5.6.7 An address that is not ASCII needs SMTPUTF8 (RFC 6531)"
S554_TOO_MANY_HOPS = "554 5.4.6 Too many Received fields: this message goes round in circles"


def community_archived(name: str) -> str:
    """The reply for a community that takes no more mail."""
    return f"550 5.2.1 The community {name} is closed and takes no more mail"
