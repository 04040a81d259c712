"""Steps in which a persona comes to the server: another client's own way of asking and of judging."""

from collections.abc import Iterator, Sequence

from app.client.client import Identity
from app.doctor.seen import Found, Seen
from app.doctor.step import Needs, Step
from app.doctor.visit import Visit
from app.personas import PERSONAS, Persona, Session, enrol, look, renew
from ca.errors import FailInfo
from ca.scep.codec import Form
from ca.x509.certificate import Certificate


def steps(names: Sequence[str], *, read_only: bool) -> tuple[Step, ...]:
    """A step for each of the personas that are named."""
    return tuple(_step(PERSONAS[name], read_only=read_only) for name in names)


def _step(persona: Persona, *, read_only: bool) -> Step:
    def send(visit: Visit) -> None:
        if read_only:
            visit.meet(look(persona, visit.target.url, visit.reach))
        else:
            _enrol(persona, visit)

    def judge(seen: Seen) -> Iterator[Found]:
        for session in seen.sessions.get(persona.name, ()):
            yield from _judge(persona, session, seen)

    does = (
        "reads" if read_only else "enrols, and renews where that client does" if persona.renewal else "enrols"
    )
    return Step(
        f"as {persona.name}",
        Needs.NOTHING,
        f"what {persona.title} sends: it {does}",
        "it stops where that client stops",
        send,
        judge,
    )


def _enrol(persona: Persona, visit: Visit) -> None:
    applicant = visit.device()
    challenge = visit.challenge()
    url, reach = visit.target.url, visit.reach
    session = enrol(persona, url, subject=applicant.name, key=applicant.key, challenge=challenge, reach=reach)
    visit.meet(session)
    if session.certificate is not None and persona.renewal:
        identity = Identity(Certificate.load(session.certificate), applicant.key)
        visit.meet(renew(persona, url, identity, key=visit.key(1), reach=reach))


def _judge(persona: Persona, session: Session, seen: Seen) -> Iterator[Found]:
    name = persona.family or persona.name
    first = seen.sessions[persona.name][0]
    for verdict in session.verdicts:
        where = f"as {persona.name}: {verdict.where}"
        if verdict.finding != "refused":
            yield Found(verdict.finding, where, verdict.detail, (name,) if verdict.refuses else ())
        elif session is first:
            yield _refused(persona, verdict.detail, where)


def _refused(persona: Persona, detail: str, where: str) -> Found:
    """Why a server refuses this client and grants others: what it writes otherwise, or its challenge."""
    match detail[:1]:
        case FailInfo.BAD_ALG:
            finding = "des-not-read"
        case FailInfo.BAD_MESSAGE_CHECK if persona.message.key_transport == "OAEP":
            finding = "oaep-not-read"
        case FailInfo.BAD_MESSAGE_CHECK if persona.message.form is not Form.DER:
            finding = "ber-not-read"
        case _:
            return Found("not-enrolled", where, detail)
    return Found(finding, where, detail, (persona.family or persona.name,))
