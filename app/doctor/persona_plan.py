"""What a persona will send, told from the file that it sends by."""

from dataclasses import dataclass

from app.doctor.planned import Announced, first_line
from app.doctor.target import Target
from app.personas import Persona
from app.personas.wire import get_request, message_query, post_request
from ca.scep.messages import MessageType

_TAKEN = "where the certificate was issued"


@dataclass(frozen=True, slots=True)
class PersonaRequest:
    """One request of *persona*: its *query*, or a message where that is empty.

    *holds* and *when* are as in :class:`Announced`.
    """

    persona: Persona
    query: str = ""
    holds: str = ""
    when: str = ""

    def announce(self, target: Target) -> Announced:
        """It as the persona writes it, without the message."""
        lines = [first_line(one, target) for one in self._write(target.url)]
        return Announced(lines[0], "".join(lines[1:]), self.holds, self.when)

    def _write(self, url: str) -> list[bytes]:
        wire = self.persona.wire
        if self.query:
            return [get_request(wire, url, self.query)]
        by_get = get_request(wire, url, message_query(wire, b""))
        # It posts where one of the capabilities is listed that its file names.
        return [post_request(wire, url, b""), by_get] if wire.posts else [by_get]


def requests_of(persona: Persona, *, read_only: bool) -> tuple[PersonaRequest, ...]:
    """All that it sends: who is *read_only* asks what comes before every message, and no more."""
    asks = tuple(PersonaRequest(persona, query) for query in persona.wire.steps)
    if read_only:
        return asks
    enrols = (*asks, PersonaRequest(persona, "", "a PKCSReq with the challenge password"))
    if not persona.renewal:
        return enrols
    again = (PersonaRequest(persona, query, "", _TAKEN) for query in persona.wire.steps)
    kind = MessageType(persona.renewal).label
    return (*enrols, *again, PersonaRequest(persona, "", f"a {kind}, signed with the certificate", _TAKEN))
