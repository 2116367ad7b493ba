"""How a program gives itself away, and that a person who writes about the same things does not."""

import pytest

from tidings.mailer.automatic import sign_of_a_program

ANA = "ana@example.org"


@pytest.mark.acceptance(35)
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"auto-submitted": ["auto-replied"]}, "Auto-Submitted: auto-replied"),
        ({"auto-submitted": [" Auto-Generated (by a robot)"]}, "Auto-Submitted: Auto-Generated (by a robot)"),
        ({"auto-submitted": ["notable"]}, "Auto-Submitted: notable"),
        ({"precedence": ["Bulk "]}, "Precedence: bulk"),
        ({"precedence": ["auto_reply"]}, "Precedence: auto_reply"),
        ({"content-type": ["Multipart/Report; report-type=disposition-notification"]}, "a report (multipart/report)"),
        ({"x-autorespond": [""]}, "it has a field X-Autorespond"),
        ({"list-unsubscribe": ["<mailto:off@example.net>"]}, "it has a field List-Unsubscribe"),
        ({"x-failed-recipients": [ANA]}, "it has a field X-Failed-Recipients"),
    ],
)
def test_a_field_gives_a_program_away(fields: dict[str, list[str]], said: str) -> None:
    assert sign_of_a_program(fields, "Hello", ANA) == said


@pytest.mark.acceptance(35)
@pytest.mark.parametrize(
    "author",
    [
        *("MAILER-DAEMON@example.org", "postmaster@example.org", "noreply@example.org", "no-reply+7@example.org"),
        *("DoNotReply@example.org", "bounce-12@example.org", "noreply-dmarc@example.org"),
    ],
)
def test_an_address_that_nobody_reads_is_a_programs(author: str) -> None:
    assert sign_of_a_program({}, "Hello", author) == f"from {author}"


@pytest.mark.acceptance(35)
@pytest.mark.parametrize(
    "subject",
    [
        *("Automatic reply: Seal on line 3", "Auto reply: x", "Autoreply: x", "AutoRespons :x", "autosvar: x"),
        *("Out of Office", "Out of office: back on Monday", "Out of the office autoreply", "Abwesenheitsnotiz"),
        *("Réponse automatique : x", "Respuesta automática: x", "Automatisch antwoord: x"),
        *("Undeliverable: Seal", "Undelivered Mail Returned to Sender", "Delivery Status Notification (Failure)"),
        *("failure notice", "Returned mail: see transcript for details"),
        *("Report domain: example.org Submitter: example.net Report-ID: 1", "complaint about message from 192.0.2.1"),
    ],
)
def test_a_subject_gives_an_answering_machine_away(subject: str) -> None:
    assert sign_of_a_program({}, f" {subject}", ANA) == f"Subject: {subject[:60]}"


@pytest.mark.parametrize(
    "subject",
    [
        *("Re: Automatic reply: Seal on line 3", "Out of office next week, who covers?", "Absence of water in line 3"),
        *(
            "Vacation plan for December",
            "Automatic valves: which ones?",
            "Automatic reply to alarms",
            "Delivery of parts",
        ),
        *("Report domain experts", "Returned pumps", "Undeliverables in the parcel room"),
    ],
)
def test_a_person_may_write_about_the_same_things(subject: str) -> None:
    fields = {"auto-submitted": ["no"], "precedence": ["normal"], "content-type": ["multipart/mixed"]}
    assert sign_of_a_program(fields, subject, "bounceback.band@example.org") == ""
