"""SMTP replies that Tidings gives, named by number and meaning (RFC 5321 4.2, enhanced codes of RFC 3463).

Both ends of the mailer may use these; a test holds each name against its code. Which is given when is not its matter.
"""

import re

S214_HELP = "214 2.0.0 Mail for communities is taken here; RFC 5321 says how to talk to me"
S220_STARTTLS = "220 2.0.0 Ready to start TLS"
S221_GOODBYE = "221 2.0.0 Goodbye"
S250_OK = "250 2.0.0 Ok"
S250_ACCEPTED = "250 2.0.0 Accepted; it is on disk"
S250_SENDER = "250 2.1.0 Sender ok"
S250_RECIPIENT = "250 2.1.5 Recipient ok"
S252_NOT_VERIFIED = "252 2.5.0 Addresses are verified by RCPT only"
S421_TOO_MANY_CONNECTIONS = "421 4.7.0 Too many connections; try again later"
S421_MAKE_ROOM = "421 4.7.0 Others need the connection that you do not use; try again later"
S421_TOO_MANY_ERRORS = "421 4.7.0 Too many errors; try again later"
S421_TOO_IDLE = "421 4.7.0 Too many commands that do nothing; try again later"
S421_TOO_MANY_GUESSES = "421 4.7.0 Too many wrong tokens; try again in an hour"
S421_TIMED_OUT = "421 4.4.2 Nothing came for too long, or too slowly; try again later"
S421_SHUTTING_DOWN = "421 4.3.2 Shutting down; try again later"
S451_LOCAL_ERROR = "451 4.3.0 Something is wrong here; nothing was taken, try again later"
S452_NO_SPACE = "452 4.3.1 No space left here; try again later"
S452_BUSY = "452 4.3.1 Too many large messages at a time; try again later"
S452_TOO_MANY_RECIPIENTS = "452 4.5.3 Too many recipients; send the rest in another transaction"
S454_NO_TLS = "454 4.7.0 There is no TLS here"
S500_UNKNOWN_COMMAND = "500 5.5.1 There is no such command here"
S500_NO_MAIL = "500 5.5.1 Mail is taken here, in SMTP or LMTP: no HTTP, and TLS only after STARTTLS"
S500_COMMAND_TOO_LONG = "500 5.5.2 The command line is too long"
S500_BAD_COMMAND_LINE = "500 5.5.2 A command line ends in CRLF and holds no control characters"
S500_LINE_TOO_LONG = "500 5.6.0 A line of the message is longer than we take"
S501_BAD_ARGUMENTS = "501 5.5.4 What follows the command cannot be read"
S501_BAD_SENDER = "501 5.1.7 The sender's address is too long or holds what no address may"
S501_BAD_RECIPIENT = "501 5.1.3 The recipient's address is too long or holds what no address may"
S502_NOT_DONE = "502 5.5.1 This command does nothing here"
S503_BAD_SEQUENCE = "503 5.5.1 Not now: first the greeting, then MAIL, RCPT and DATA"
S503_NO_AUTH = "503 5.5.1 Nobody has to sign in here"
S503_TLS_ALREADY = "503 5.5.1 TLS is on already"
S550_NO_SUCH_ADDRESS = "550 5.1.1 There is no such address here"
S550_BARE_LINE_ENDS = "550 5.5.2 A line ends in a bare CR or LF, or has a NUL; lines end in CRLF (RFC 5321 2.3.8)"
S550_RELAY_DENIED = "550 5.7.1 We do not relay"
S552_TOO_BIG = "552 5.3.4 The message is larger than we take"
S553_NEEDS_SMTPUTF8 = "553 5.6.7 An address that is not ASCII needs SMTPUTF8 (RFC 6531)"
S554_TOO_MANY_HOPS = "554 5.4.6 Too many Received fields: this message goes round in circles"
S555_UNKNOWN_PARAMETER = "555 5.5.4 There is no such parameter here"


def refused(status: str, reason: str) -> str:
    """The reply that refuses a message for a reason: `status` is its enhanced code, `reason` any text on one line."""
    code = "552" if status == "5.3.4" else "550"
    # RFC 5321 4.5.3.1.5: a reply line has 512 octets at most.
    return f"{code} {status} {re.sub(r'[^ -~]+', '?', reason)[:400]}"
