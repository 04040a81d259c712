"""Recorded exchanges taken apart: what the server noted, and what was sent; of several, what they are."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC

from app.diagnosis.attributes import Role
from app.diagnosis.knowledge import knowledge
from app.diagnosis.node import Node
from app.recorder.recording import NoRecording, Recording, is_recording, read_recording
from app.recorder.words import what_happened, what_was_asked

# Files that a machine lost its power over end with NULs.
_NO_TEXT = re.compile(rb"[^\0\t\r\n\x20-\xff]")
Inside = Callable[[Node, bytes, Role], None]


def put_recording(parent: Node, data: bytes, inside: Inside) -> None:
    """Put the one exchange into *parent*, request and reply taken apart like any."""
    try:
        one = read_recording(data)
    except NoRecording as error:
        _put_unreadable(parent, error).note("nothing-of-scep")
        return
    node = _put_line(parent, one)
    for name, text in (
        ("client", one.client),
        ("profile", one.profile),
        ("subject", one.subject),
        ("asked for", what_was_asked(one)),
        ("certificate", one.serial),
        ("decided by", one.rule),
        ("stage", one.stage),
    ):
        if text:
            node.add(name, text)
    for octets, role in ((one.request_octets, Role.REQUEST), (one.reply_octets, Role.ANSWER)):
        if octets:
            inside(node, octets, role)
        else:
            node.add("request" if role is Role.REQUEST else "reply", "none")


def put_recordings(parent: Node, lines: Sequence[bytes]) -> None:
    """Put what several exchanges were into *parent*, one a line of a file of recordings."""
    node = parent.add("recordings", f"{len(lines)}: --recording ID takes one of them apart", "http")
    for line in lines:
        try:
            _put_line(node, read_recording(line))
        except NoRecording as error:
            # The last may not be written to its end yet.
            _put_unreadable(node, error)


def recorded_lines(data: bytes) -> list[bytes]:
    """The lines of *data* that are a recording each; none where the only one is spread over several.

    There is none in what is no text: a message may have such a line in it, for whoever looks for one.
    """
    return [] if _NO_TEXT.search(data) else [line for line in data.splitlines() if is_recording(line)]


def choose_recording(data: bytes, id: str) -> bytes | None:
    """The recording called *id* out of a file of several, or of that one; None where it is not there."""
    for line in recorded_lines(data) or [data]:
        with suppress(NoRecording):
            if read_recording(line).id == id:
                return line
    return None


def _put_unreadable(parent: Node, error: NoRecording) -> Node:
    return parent.add("recording", f"cannot be read: {error}", "http")


def _put_line(parent: Node, one: Recording) -> Node:
    """What it is, and what the server noted."""
    node = parent.add("recording", f"{one.id}, {one.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", "http")
    node.add("what happened", f"{one.remote} {what_happened(one)}")
    known = knowledge().findings
    for noticed in one.findings:
        # What a later version knows is told by its name.
        if noticed.id in known:
            node.note(noticed.id, noticed.detail)
        else:
            node.add(noticed.id, noticed.detail)
    return node
