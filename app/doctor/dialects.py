"""Steps that ask the same in the forms in which clients write their messages.

The message is a CertPoll for a transaction that nobody knows, as in :mod:`app.doctor.habits`. Where the
server does not know how to answer one, it is sent the enrolment again in BER, and nothing in other forms.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from app.doctor.answers import Answer
from app.doctor.habits import BY_GET, BY_POST, POLL, is_poll
from app.doctor.planned import carrying
from app.doctor.seen import Found, Seen, Terms
from app.doctor.step import Needs, Step
from app.doctor.visit import Visit
from ca.algorithms.ciphers import DES_CBC
from ca.algorithms.digests import SHA1
from ca.algorithms.key_transport import KeyTransport
from ca.scep.codec import Form


def _written(step: str, finding: str, why: str, vary: Callable[[Terms], Terms]) -> Step:
    """A poll that is written otherwise, and has to be answered as the plain one is."""
    planned = carrying(step, f"a CertPoll, {step}", "where the plain one is answered")

    def send(visit: Visit) -> None:
        if is_poll(visit.sample):
            visit.send(planned, visit.asking.poll(visit.poller, vary=vary))

    return Step(step, Needs.SAMPLE, (planned,), why, send, _held_to((POLL,), step, finding))


def _held_to(plain_steps: Sequence[str], step: str, finding: str) -> Callable[[Seen], Iterator[Found]]:
    """What is answered otherwise than the plain message."""

    def judge(seen: Seen) -> Iterator[Found]:
        answers = (Answer(exchange, seen.now) for one in plain_steps for exchange in seen.of(one))
        plain = next((one for one in answers if one.is_reply), None)
        for exchange in seen.of(step) if plain else ():
            told = Answer(exchange, seen.now)
            # A refusal of another kind, too, is one that the client hears for the way it writes.
            if plain and (not told.is_reply or told.attribute("failInfo") != plain.attribute("failInfo")):
                yield Found(finding, step, f"{told.why}; without it the answer is {plain.why or 'SUCCESS'}")

    return judge


def _in_ber(terms: Terms) -> Terms:
    return replace(terms, form=Form.STREAMED)


def _send_enrolment(visit: Visit) -> None:
    if visit.enrolled is not None and visit.applied is not None and not is_poll(visit.sample):
        transaction_id = visit.enrolled.transaction.transaction_id
        visit.send(_ENROLS, visit.asking.enrol(*visit.applied, transaction_id, vary=_in_ber))


_WHY_BER = "jscep and Apple's devices write so"
_ENROLS = carrying(
    "PKCSReq in BER", "the PKCSReq of the enrolment in BER", "where CertPolls are not answered"
)
STEPS = (
    _written(
        "under single DES",
        "des-not-read",
        "old Cisco routers and micromdm know nothing else",
        lambda terms: replace(terms, cipher=DES_CBC),
    ),
    _written(
        "key under RSAES-OAEP",
        "oaep-not-read",
        "Windows encrypts so",
        lambda terms: replace(terms, key_transport=KeyTransport(SHA1, SHA1)),
    ),
    _written("in BER", "ber-not-read", _WHY_BER, _in_ber),
    Step(
        _ENROLS.name,
        Needs.CERTIFICATE,
        (_ENROLS,),
        _WHY_BER,
        _send_enrolment,
        _held_to((BY_POST, BY_GET), _ENROLS.name, "ber-not-read"),
    ),
    _written(
        "with a nonce of 8 octets",
        "strict-server",
        "old iPhones send such ones",
        lambda terms: replace(terms, nonce_octets=8),
    ),
)
