"""Exchanges as the endpoint hears them, for what is kept of them."""

import time
from dataclasses import replace

from app.recorder.heard import Heard
from app.recorder.making import make_line
from app.recorder.recording import Recording, read_recording
from ca.deviations import Deviations
from ca.errors import MalformedMessage
from ca.journal import Exchange
from ca.scep.codec import PKI_MESSAGE
from tests.world import PEER, World

REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"


def heard_of(world: World, message: bytes, *headers: bytes, query: bytes = b"") -> Heard:
    """What is heard of *message* when *world* answers it by POST; *headers* are lines of the request."""
    seen: list[Exchange] = []
    deviations = Deviations()
    responder = replace(world.responder, watch=seen.append)
    try:
        body, status = responder.respond(message, world.profile, PEER, deviations), 200
        reply = REPLY % (PKI_MESSAGE.encode(), len(body), body)
    except MalformedMessage as error:
        status = 400
        text = str(error).encode()
        reply = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n%s\n" % text
    line = b"POST /scep?operation=PKIOperation%s HTTP/1.1" % query
    head = b"\r\n".join((line, b"Host: scep.example", *headers, b"", b""))
    return Heard(
        ended_at=time.time(),
        seconds=0.01,
        operation="PKIOperation",
        profile="default",
        remote=PEER.remote,
        client=PEER.client,
        request_head=head,
        request_body=message,
        status=status,
        reply=reply,
        deviations=deviations,
        exchange=seen[0] if seen else None,
    )


def recorded(heard: Heard, id: str = "abcdef-1") -> Recording:
    """What is kept of it, read again."""
    return read_recording(make_line(heard, id))
