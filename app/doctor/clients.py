"""Steps in which a persona comes to the server: another client's own way of asking and of judging."""

from collections.abc import Iterator, Sequence

from app.client.client import Identity
from app.diagnosis.finding import Severity
from app.diagnosis.knowledge import knowledge
from app.doctor.seen import Found, Seen
from app.doctor.step import Needs, Step
from app.doctor.visit import Visit
from app.personas import PERSONAS, Persona, Session, Verdict, enrol, look, renew
from ca.errors import FailInfo
from ca.scep.codec import Form
from ca.x509.certificate import Certificate

# A persona chose these for itself, by what was listed or because it knows nothing else.
_OWN_CHOICE = {"weak-cipher", "weak-digest", "des-reply"}
# How a client puts it that something went wrong. What it was, the doctor's own steps may have seen.
_GENERAL = {
    "ca-not-der",
    "damaged-encoding",
    "envelope-not-opened",
    "html-body",
    "http-answer-broken",
    "http-error",
    "leaf-other-key",
    "nothing-of-scep",
    "signature-wrong",
    "unreachable",
}
_REFUSED = "refused"
_AS = "as "


def steps(names: Sequence[str], *, read_only: bool) -> tuple[Step, ...]:
    """A step for each of the personas that are named."""
    return tuple(_step(PERSONAS[name], read_only=read_only) for name in names)


def is_persona(step: Step) -> bool:
    """Whether *step* is one of these: they are judged last, by what the doctor's own steps show."""
    return step.name.startswith(_AS)


def _step(persona: Persona, *, read_only: bool) -> Step:
    def send(visit: Visit) -> None:
        if read_only:
            visit.meet(look(persona, visit.target.url, visit.reach))
        else:
            _enrol(persona, visit)

    def judge(seen: Seen) -> Iterator[Found]:
        for number, session in enumerate(seen.sessions.get(persona.name, ())):
            yield from _judge(persona, session, seen, renews=number > 0)

    does = "reads" if read_only else "enrols and renews" if persona.renewal else "enrols"
    return Step(
        f"{_AS}{persona.name}",
        Needs.NOTHING,
        f"what {persona.title} sends: it {does}",
        "it stops where that client stops",
        send,
        judge,
    )


def _enrol(persona: Persona, visit: Visit) -> None:
    applicant, challenge = visit.device(), visit.challenge()
    url, reach = visit.target.url, visit.reach
    session = enrol(persona, url, subject=applicant.name, key=applicant.key, challenge=challenge, reach=reach)
    visit.meet(session)
    if session.certificate is not None and persona.renewal:
        identity = Identity(Certificate.load(session.certificate), applicant.key)
        visit.meet(renew(persona, url, identity, key=visit.key(1), reach=reach))


def _judge(persona: Persona, session: Session, seen: Seen, *, renews: bool) -> Iterator[Found]:
    client = persona.name if persona.name in knowledge().clients else persona.family
    for verdict in session.verdicts:
        if verdict.finding in _OWN_CHOICE - seen.found.keys() or (renews and verdict.finding == _REFUSED):
            # That a renewal so early is refused, the doctor's own has told.
            continue
        finding = _refusal(persona, verdict, seen) if verdict.finding == _REFUSED else verdict.finding
        if verdict.finding in {*_GENERAL, _REFUSED} and finding not in {*seen.found, "not-enrolled"}:
            finding = _cause(client, seen) or finding
        stops = verdict.refuses and finding != "not-enrolled"
        where = f"as {persona.name}: {verdict.where}"
        yield Found(finding, where, verdict.detail, (client,) if stops else ())


def _refusal(persona: Persona, verdict: Verdict, seen: Seen) -> str:
    """Why a server refuses this client: what it writes otherwise than others do, or its challenge."""
    fail_info, message = verdict.detail[:1], persona.message
    if fail_info in (FailInfo.BAD_ALG, FailInfo.BAD_MESSAGE_CHECK) and message.key_transport == "OAEP":
        return "oaep-not-read"
    if fail_info == FailInfo.BAD_ALG:
        return "des-not-read"
    if fail_info == FailInfo.BAD_MESSAGE_CHECK and message.form is not Form.DER:
        return "ber-not-read"
    if fail_info == FailInfo.BAD_REQUEST and persona.csr.printable and _others_came_after(persona, seen):
        return "challenge-string"
    return "not-enrolled"


def _others_came_after(persona: Persona, seen: Seen) -> bool:
    """Whether one whose challenge is a UTF8String was granted later: so the challenge is not used up."""
    came = list(seen.sessions)
    later = came[came.index(persona.name) + 1 :]
    return any(
        seen.sessions[name][0].certificate is not None for name in later if not PERSONAS[name].csr.printable
    )


def _cause(client: str, seen: Seen) -> str:
    """Which of the doctor's own findings it must be: one that names this client, or else the first."""
    findings = [knowledge().findings[one] for one in seen.found]
    grave = [one for one in findings if one.severity is not Severity.INFO]
    naming = [one for one in grave if client in one.clients]
    common = [one for one in grave if "everyone" in one.clients]
    return next((one.id for one in (*naming, *common, *grave)), "")
