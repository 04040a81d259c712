"""Steps in which a persona comes to the server: another client's own way of asking and of judging."""

from collections.abc import Callable, Iterator, Sequence

from app.client.client import Identity
from app.diagnosis.finding import Severity
from app.diagnosis.knowledge import knowledge
from app.doctor.answers import Answer
from app.doctor.folding import ENDS
from app.doctor.persona_plan import requests_of
from app.doctor.seen import CAPABILITIES, CERTIFICATES, Found, Seen
from app.doctor.step import Needs, Step
from app.doctor.trespassing import EXTENSION
from app.doctor.visit import AS, Visit
from app.personas import PERSONAS, Objection, Persona, Session, enrol, look, renew
from ca.errors import FailInfo
from ca.scep.codec import Form
from ca.scep.codec.attributes import NONCE_OCTETS
from ca.scep.messages import PkiStatus
from ca.x509.certificate import Certificate

# A persona chose these for itself, by what was listed or because it knows nothing else.
_OWN_CHOICE = {"weak-cipher", "reply-weak-digest", "des-reply"}
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
_OF_THE_WAY = {"ca-not-der", "html-body", "http-answer-broken", "http-error", "unreachable"}
# What a server may not read of the ways in which some write, in the order in which it meets them.
_HABITS: dict[str, Callable[[Persona, bytes], bool]] = {
    "plus-lost": lambda _, line: b"+" in line,
    "get-line-breaks": lambda _, line: b"%0A" in line,
    "ber-not-read": lambda persona, _: persona.message.form is not Form.DER,
    "oaep-not-read": lambda persona, _: persona.message.key_transport == "OAEP",
    "strict-server": lambda persona, _: persona.message.nonce_octets != NONCE_OCTETS,
}
_TOLD_BY_PERSONAS = {"challenge-string", "digest-refused", "not-enrolled"}
_REFUSED = "refused"


def steps(names: Sequence[str], *, read_only: bool) -> tuple[Step, ...]:
    """A step for each of the personas that are named."""
    return tuple(_step(PERSONAS[name], read_only=read_only) for name in names)


def is_persona(step: Step) -> bool:
    """Whether *step* is one of these: they are judged last, by what the doctor's own steps show."""
    return step.name.startswith(AS)


def _step(persona: Persona, *, read_only: bool) -> Step:
    def send(visit: Visit) -> None:
        if read_only:
            visit.meet(look(persona, visit.target.url, visit.reach))
        else:
            _enrol(persona, visit)

    def judge(seen: Seen) -> Iterator[Found]:
        for number, session in enumerate(seen.sessions.get(persona.name, ())):
            yield from _judge(persona, session, seen, renews=number > 0)
        if persona.name in seen.unasked:
            yield Found("not-enrolled", f"{AS}{persona.name}", seen.why_unasked)

    does = "reads" if read_only else "enrols and renews" if persona.renewal else "enrols"
    return Step(
        f"{AS}{persona.name}",
        Needs.NOTHING,
        requests_of(persona, read_only=read_only),
        f"it {does} as {persona.title} does, and stops where that client stops",
        send,
        judge,
    )


def _enrol(persona: Persona, visit: Visit) -> None:
    if visit.seen.refused_at:
        visit.seen.unasked.add(persona.name)
        visit.meet(look(persona, visit.target.url, visit.reach))
        return
    applicant, challenge = visit.device(), visit.challenge()
    url, reach = visit.target.url, visit.reach
    session = enrol(persona, url, subject=applicant.name, key=applicant.key, challenge=challenge, reach=reach)
    visit.meet(session)
    if any(map(_is_refusal, session.objections)) and not _grants_again(visit.seen):
        visit.refuse(f"{AS}{persona.name}")
    if session.certificate is not None and persona.renewal:
        identity = Identity(Certificate.load(session.certificate), applicant.key)
        visit.meet(renew(persona, url, identity, key=visit.make_key(), reach=reach))


def _is_refusal(objection: Objection) -> bool:
    """Whether it may be one for the challenge password."""
    return objection.finding == _REFUSED and objection.detail[:1] == FailInfo.BAD_REQUEST


def _judge(persona: Persona, session: Session, seen: Seen, *, renews: bool) -> Iterator[Found]:
    client = persona.name if persona.name in knowledge().clients else persona.family
    for objection in session.objections:
        if objection.finding in _OWN_CHOICE - seen.found.keys() or (renews and objection.finding == _REFUSED):
            # That a renewal so early is refused, the doctor's own has told.
            continue
        finding = _habit(persona, session, objection, seen) or _name(persona, client, objection, seen)
        stops = objection.refuses and finding != "not-enrolled"
        where = f"as {persona.name}: {objection.where}"
        yield Found(finding, where, objection.detail, (persona.name,) if stops else (), persona.name)


def _name(persona: Persona, client: str, objection: Objection, seen: Seen) -> str:
    """Which finding it is: the client's word for it, or what the doctor's own steps know it to be."""
    if objection.finding == _REFUSED:
        finding = _refusal(persona, objection, seen)
        if finding in {*seen.found, *_TOLD_BY_PERSONAS}:
            return finding
        return _cause(client, seen) or finding
    is_end = seen.killed_by == f"{AS}{persona.name}"
    if objection.finding not in _GENERAL or is_end or _is_seen_there(objection, seen):
        return objection.finding
    return _cause(client, seen, objection.finding) or objection.finding


def _habit(persona: Persona, session: Session, objection: Objection, seen: Seen) -> str:
    """What the doctor's own steps know that the server does not read, and that this message has in it."""
    message = session.exchanges[-1]
    if objection.finding not in _GENERAL or not objection.refuses or message.operation != "PKIOperation":
        return ""
    line = message.request.partition(b"\r\n")[0]
    return next((name for name, has in _HABITS.items() if name in seen.found and has(persona, line)), "")


def _is_seen_there(objection: Objection, seen: Seen) -> bool:
    """Whether the doctor's own steps saw the same, at an answer of the same kind."""
    own = seen.found.get(objection.finding)
    is_early = objection.where.startswith((CAPABILITIES, CERTIFICATES))
    return own is not None and own.where.startswith((CAPABILITIES, CERTIFICATES)) == is_early


def _refusal(persona: Persona, objection: Objection, seen: Seen) -> str:
    """Why a server refuses this client: what it writes otherwise than others do, or its challenge."""
    fail_info, message = objection.detail[:1], persona.message
    if fail_info in (FailInfo.BAD_ALG, FailInfo.BAD_MESSAGE_CHECK) and message.key_transport == "OAEP":
        return "oaep-not-read"
    if fail_info == FailInfo.BAD_ALG:
        is_digest = "des-not-read" not in seen.found and _signs_over_md5(persona)
        return "digest-refused" if is_digest else "des-not-read"
    if fail_info == FailInfo.BAD_MESSAGE_CHECK and message.form is not Form.DER:
        return "ber-not-read"
    if message.nonce_octets != NONCE_OCTETS and "strict-server" in seen.found:
        return "strict-server"
    if persona.csr.printable and _grants_again(seen):
        return "challenge-string"
    return "not-enrolled"


def _grants_again(seen: Seen) -> bool:
    """Whether the challenge password was good after the first enrolment, as a UTF8String."""
    return any(Answer(one, seen.now).status is PkiStatus.SUCCESS for one in seen.of(EXTENSION))


def _signs_over_md5(persona: Persona) -> bool:
    return "MD5" in persona.message.digests.values()


def _cause(client: str, seen: Seen, objection: str = "") -> str:
    """Which of the doctor's own findings it must be: one that names this client, or else the first.

    What is about the way goes first where the *objection* is about it too.
    """
    # Whoever came by came before the end.
    findings = [knowledge().findings[one] for one in seen.found if one not in {objection, *ENDS}]
    grave = [one for one in findings if one.severity is not Severity.INFO]
    if objection in _OF_THE_WAY:
        grave.sort(key=lambda one: one.area not in ("transport", "behaviour"))
    naming = [one for one in grave if client in one.clients]
    common = [one for one in grave if "everyone" in one.clients]
    return next((one.id for one in (*naming, *common, *grave)), "")
