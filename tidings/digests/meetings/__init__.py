"""Meetings: series and their sessions, agendas made by mail, who leads, who comes, and what came of it.

Each table of theirs has one writer here: series, diary (meetings and sittings), topics, roles, attendance. What is
printed of them is for the digests around it, and what a mail asks for, for intake.
"""
