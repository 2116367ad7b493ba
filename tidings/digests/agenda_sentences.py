"""The sentences around meetings in an edition: what changed, what is on, who does what, what was noted; pure."""

from collections.abc import Sequence

from tidings.digests.direction import apart
from tidings.digests.fragments import YOU, Held, Listed, Meeting, Noted, Recap, Slot, Span, Task, Topic, Turn
from tidings.digests.meetings import wording
from tidings.digests.words import Words

# --- the meeting -----------------------------------------------------------------------------------------------------


def when(words: Words, it: Meeting) -> str:
    """`Tue 14 Oct 14:00 to 15:00 (your time)`, with what the meeting is called where that is not the community."""
    start = words.full(it.start)
    if it.end is not None:
        start = words.say("%(start)s to %(end)s", start=start, end=words.time(it.end))
    said = words.say("%(time)s (your time)", time=start)
    return words.say("%(meeting)s: %(time)s", meeting=apart(it.title), time=said) if it.title else said


def change(words: Words, it: Meeting) -> str:
    """What is new about it; empty where nothing is."""
    return {
        "cancelled": words.say("THIS MEETING IS CANCELLED. What was on its agenda goes on the next one."),
        "moved": words.say("This meeting was moved; this is when and where it is now."),
        "noted": words.say("What was noted in an earlier session stands under its item."),
        "final": words.say("This is the agenda as it stands; what is written from now on goes with the minutes."),
    }.get(it.change, "")


def slot(words: Words, it: Slot) -> str:
    """`30 min: discussion, and what members need: Start-up vibration (Li), Spare stock (you), +2`."""
    block = wording.block(words, it)
    listed = [_listed(words, one) for one in it.topics] + ([f"+{it.more}"] if it.more else [])
    return words.say("%(block)s: %(topics)s", block=block, topics=", ".join(listed)) if listed else block


def _listed(words: Words, it: Listed) -> str:
    title = apart(it.title)
    return words.say("%(topic)s (%(who)s)", topic=title, who=words.inside(it.who)) if it.who else title


def others(words: Words, sessions: Sequence[Span]) -> str:
    """The sessions that the reader is not asked to."""
    times = ", ".join(words.full(one.begin) for one in sessions)
    return words.say("The same meeting for other crews: %(times)s.", times=times)


def roles(words: Words, held: Sequence[Held]) -> str:
    """`Discussion leader: Raj (2 times in a year). Scribe: you (1 time in a year).`"""
    return " ".join(f"{wording.role(words, one.role, _who(words, one))}." for one in held)


def _who(words: Words, held: Held) -> str:
    name = words.inside(held.name)
    return words.count(
        "%(name)s (%(number)s time in a year)", "%(name)s (%(number)s times in a year)", held.load, name=name
    )


def coming(words: Words, it: Meeting) -> str:
    """How many come, and what the reader said; empty where nobody said anything."""
    said = {
        "yes": words.say("You said yes."),
        "no": words.say("You said no."),
        "maybe": words.say("You said maybe."),
    }.get(it.answer, "")
    many = words.count("%(number)s comes so far.", "%(number)s come so far.", it.coming) if it.coming else ""
    return " ".join(filter(None, (many, said)))


def how(words: Words, it: Meeting) -> str:
    """How to answer, and until when what is written stands under its item."""
    if it.until is None or it.change == "final":
        return words.say("Coming? Reply with yes, no or maybe.")
    return words.say(
        "Coming? Reply with yes, no or maybe. Not coming? What you write by %(time)s is printed under its item.",
        time=words.weekday(it.until),
    )


# --- topics ----------------------------------------------------------------------------------------------------------


def heading(words: Words, it: Topic) -> str:
    """`Raj: Seal failures`, or the title alone."""
    title = apart(it.title)
    return words.say("%(who)s: %(topic)s", who=words.person(it.who), topic=title) if it.who else title


def facts(words: Words, it: Topic) -> str:
    """`10 min, led by Raj, 3 want it, carried over`."""
    found = [words.say("%(minutes)s min", minutes=it.minutes)]
    if it.led:
        found.append(words.say("led by %(name)s", name=words.inside(it.who)))
    if it.kind == "question":
        found.append(words.say("a question that nobody has answered"))
    if it.kind == "action":
        found.append(words.say("an action that is not done"))
    if it.seconds:
        found.append(words.count("%(number)s more wants it", "%(number)s more want it", it.seconds))
    if it.carried:
        found.append(words.say("carried over"))
    if it.offered:
        found.append(words.say("reply +1 to have it on the agenda"))
    elif not it.fits:
        found.append(words.say("if there is time"))
    return ", ".join(found)


def earlier(words: Words, it: Topic | Meeting) -> str:
    """Of the inputs that are only counted."""
    return words.count("%(number)s more before that", "%(number)s more before that", it.earlier)


# --- what came of a meeting ------------------------------------------------------------------------------------------


def noted(words: Words, it: Noted) -> str:
    """`Action for Raj by Fri 16 Oct: order the springs`."""
    text = apart(it.text)
    if it.kind == "action":
        return words.say("%(action)s: %(text)s", action=_action(words, it), text=text)
    kind = {
        "decision": words.say("Decided:"),
        "answer": words.say("Answered:"),
    }.get(it.kind) or words.say("Noted:")
    return f"{kind} {text}"


def _action(words: Words, it: Noted) -> str:
    if not it.done:
        return words.action(it.owner, it.due)
    return words.say("Done by %(owner)s", owner=words.inside(it.owner)) if it.owner else words.say("Done")


def recap(words: Words, it: Recap) -> str:
    """Which meeting it is about, and what of its agenda was carried over."""
    said = words.say("Meeting of %(day)s", day=words.full(it.start))
    if not it.carried:
        return said
    carried = words.count("%(number)s item carried over", "%(number)s items carried over", it.carried)
    return f"{said} ({carried})"


def more(words: Words, it: Recap) -> str:
    """Of what is only counted."""
    return words.count("%(number)s more, in the archive", "%(number)s more, in the archive", it.more)


# --- what the reader has to do ---------------------------------------------------------------------------------------


def turn(words: Words, it: Turn) -> str:
    """`You lead the discussion: Pump team, Tue 21 Oct 14:00`."""
    task = {
        "lead": words.say("You lead the discussion"),
        "host": words.say("You host the meeting"),
    }.get(it.role) or words.say("You take the notes")
    return words.say("%(task)s: %(meeting)s, %(time)s", task=task, meeting=apart(it.title), time=words.full(it.start))


def load(words: Words, it: Turn) -> str:
    """How often the reader had the role, and how to give it to somebody else."""
    if it.load > 1:
        often = words.say("It is your time number %(number)s within a year.", number=it.load)
    else:
        often = words.say("It is your first time within a year.")
    swap = words.say("Cannot? Reply with swap, and it goes to whose turn is next.")
    return f"{often} {swap}"


def scribe(words: Words) -> str:
    """How minutes are written."""
    return words.say(
        "Minutes: reply after the meeting with lines like `decision: ...`, `action: @raj by Fri ...`, "
        "`answer: ...` and `carry: #3`."
    )


def task(words: Words, it: Task) -> str:
    """`Your action by Fri 16 Oct: order the springs`."""
    own = Noted(kind="action", text=it.text, owner=YOU, due=it.due)
    return noted(words, own)


def decided(words: Words, it: Task) -> str:
    """Where an action comes from, and how to say that it is done."""
    return words.say("From the meeting of %(day)s; reply with done once it is.", day=words.day(it.decided))
