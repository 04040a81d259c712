"""What is wrong with a CertRep, held to the request that it answers and to GetCACert. Nothing is sent."""

from collections.abc import Iterator

from app.client.raw import RawAnswer
from app.doctor.answers import Answer
from app.doctor.seen import Exchange, Found, Question, Seen
from app.doctor.showing import show
from app.personas.material import Material
from app.personas.observing import Expected, Observation, observe_reply
from ca.asn1 import Asn1Error
from ca.scep.messages import PkiStatus
from ca.x509.certificate import Certificate
from ca.x509.chain import ChainBroken
from ca.x509.name import Name

# What ``inspect`` says of every answer that is one, and what is no fault here.
_OUTCOMES = {"refused", "pending"}
# What cannot be told of an answer to one who asked for no certificate of his own.
_OF_ISSUED = {"leaf-other-key"}


def judge_answer(exchange: Exchange, seen: Seen) -> Iterator[Found]:
    """Whatever shows in the response alone: its status, its headers, its body layer by layer."""
    answer = Answer(exchange, seen.now)
    if exchange.answer is None:
        yield Found("http-answer-broken", exchange.step, exchange.sent.trouble)
        return
    if exchange.sent.trouble:
        yield Found("http-answer-broken", exchange.step, exchange.sent.trouble)
    if not 200 <= exchange.status < 300:
        redirected = 300 <= exchange.status < 400
        yield Found("http-redirect" if redirected else "http-error", exchange.step, in_http(answer))
        return
    yield from notes(answer)


def in_http(answer: Answer) -> str:
    """What an HTTP error or a redirect says, and where that leads."""
    found = answer.exchange.answer
    target = found.header("location") if found else None
    return f"{answer.why}, to {target}" if target else answer.why


def notes(answer: Answer) -> Iterator[Found]:
    """What ``inspect`` notes."""
    step = answer.exchange.step
    for node in answer.tree.walk():
        where = step if node.place in ("", step) else f"{step}: {node.place}"
        for note in node.notes:
            if note.finding not in _OUTCOMES:
                yield Found(note.finding, where, show(answer.tree, note.finding, where, note.detail))


def judge_reply(exchange: Exchange, seen: Seen) -> Iterator[Found]:
    """Everything about the answer to a PKIOperation, whatever its status says."""
    if exchange.asked is None or not exchange.answer or not 200 <= exchange.status < 300:
        yield from judge_answer(exchange, seen)
        return
    answer, asked = Answer(exchange, seen.now), exchange.asked
    ignored = _OUTCOMES if asked.spki else _OUTCOMES | _OF_ISSUED
    observed = _observe(exchange.answer, asked, seen)
    theirs, ours = answer.attribute("senderNonce"), asked.transaction.sender_nonce.hex()
    if theirs == ours and "nonce-echoed" not in {one.finding for one in observed}:
        observed.append(Observation("nonce-echoed", "CertRep.signedAttrs.senderNonce"))
    for one in observed:
        if one.finding not in ignored:
            yield Found(one.finding, f"{exchange.step}: {one.where}", _in_words(one, answer, asked))
    if answer.status is PkiStatus.SUCCESS and asked.spki:
        yield from _judge_issued(answer, asked, seen)


def _in_words(one: Observation, answer: Answer, asked: Question) -> str:
    """What was seen, and where it is a recipient, who it should have been."""
    told = show(answer.tree, one.finding, one.where, one.detail)
    if one.finding == "reply-weak-digest":
        return f"{told}, and the request was signed over {asked.terms.digest.name}"
    if one.finding != "recipient-not-signer":
        return told
    signer = asked.signer.certificate
    whose = f"serial {signer.serial_number:x} of {Name.load(signer.issuer_der)}"
    return f"{told}, and the request is signed by {whose}"


def _observe(answer: RawAnswer, asked: Question, seen: Seen) -> list[Observation]:
    """What personas see too: what ``inspect`` notes, and what only who asked can hold it to."""
    material = Material(b"", asked.spki, asked.signer, asked.transaction.transaction_id)
    held_to = Expected(
        material, asked.transaction.sender_nonce, asked.terms.cipher, seen.certificates, takes_first=False
    )
    return observe_reply(answer, held_to).observations


def _judge_issued(answer: Answer, asked: Question, seen: Seen) -> Iterator[Found]:
    """The certificate that was issued."""
    where = f"{answer.exchange.step}: certificates"
    leaf = find_leaf(answer, asked)
    if leaf is None:
        return
    try:
        yield from _judge_leaf(leaf, asked, seen, where)
    except Asn1Error as error:
        yield Found("damaged-encoding", where, str(error))


def _judge_leaf(leaf: Certificate, asked: Question, seen: Seen, where: str) -> Iterator[Found]:
    if not leaf.not_valid_before <= seen.now <= leaf.not_valid_after:
        times = " to ".join(f"{one:%Y-%m-%d %H:%M}" for one in (leaf.not_valid_before, leaf.not_valid_after))
        yield Found("leaf-not-valid", where, f"{times}, and it is {seen.now:%Y-%m-%d %H:%M} UTC")
    elif seen.roles is not None:
        try:
            seen.roles.check_issued(leaf, (), seen.now)
        except ChainBroken as error:
            yield Found("leaf-other-issuer", where, str(error))
    if leaf.is_ca:
        yield Found("leaf-is-ca", where, f"basicConstraints of {leaf.subject} says CA")
    if asked.subject and not leaf.subject.matches(asked.subject):
        yield Found("name-changed", where, f"{asked.subject} was asked for, {leaf.subject} came")


def find_leaf(answer: Answer, asked: Question) -> Certificate | None:
    """The certificate for the key that was asked for."""
    return next((one for one in answer.issued if one.spki == asked.spki), None)
