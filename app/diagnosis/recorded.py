"""A recorded exchange, as ``log export`` writes it, taken apart: what the server noted, and what was sent."""

from collections.abc import Callable
from datetime import UTC

from app.diagnosis.attributes import Role
from app.diagnosis.knowledge import knowledge
from app.diagnosis.node import Node
from app.recorder.recording import NoRecording, read_recording
from app.recorder.words import what_happened

Inside = Callable[[Node, bytes, Role], None]


def put_recording(parent: Node, data: bytes, inside: Inside) -> None:
    """Put the exchange into *parent*, request and reply taken apart like any."""
    try:
        one = read_recording(data)
    except NoRecording as error:
        parent.add("recording", f"cannot be read: {error}", "http").note("nothing-of-scep")
        return
    node = parent.add("recording", f"{one.id}, {one.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", "http")
    node.add("what happened", f"{one.remote} {what_happened(one)}")
    for name, text in (
        ("client", one.client),
        ("profile", one.profile),
        ("subject", one.subject),
        ("certificate", one.serial),
        ("decided by", one.rule),
        ("stage", one.stage),
    ):
        if text:
            node.add(name, text)
    known = knowledge().findings
    for noticed in one.findings:
        # What a later version knows is told by its name.
        if noticed.id in known:
            node.note(noticed.id, noticed.detail)
        else:
            node.add(noticed.id, noticed.detail)
    for octets, role in ((one.request_octets, Role.REQUEST), (one.reply_octets, Role.ANSWER)):
        if octets:
            inside(node, octets, role)
        else:
            node.add("request" if role is Role.REQUEST else "reply", "none")
