"""What is wrong with a CertRep, held to the request that it answers and to GetCACert. Nothing is sent."""

from collections.abc import Iterator

from app.diagnosis.node import Node
from app.diagnosis.tlv import Walk
from app.diagnosis.words import name_of, oid_name, serial_of
from app.doctor.answers import Answer
from app.doctor.seen import Asked, Exchange, Found, Seen
from ca.asn1 import Asn1Error
from ca.scep.messages import PkiStatus
from ca.x509.certificate import Certificate
from ca.x509.chain import ChainBroken

# What ``inspect`` says of every answer that is one, and what is no fault here.
_OUTCOMES = {"refused", "pending"}


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
        yield Found("http-redirect" if redirected else "http-error", exchange.step, _error(answer))
        return
    yield from notes(answer)


def _error(answer: Answer) -> str:
    found = answer.exchange.answer
    target = found.header("location") if found else None
    return f"{answer.why}, to {target}" if target else answer.why


def notes(answer: Answer) -> Iterator[Found]:
    """What ``inspect`` notes."""
    for node in answer.tree.walk():
        for note in node.notes:
            if note.finding not in _OUTCOMES:
                yield Found(note.finding, f"{answer.exchange.step}: {node.place or node.name}", note.detail)


def judge_reply(exchange: Exchange, seen: Seen) -> Iterator[Found]:
    """Everything about the answer to a PKIOperation, whatever its status says."""
    yield from judge_answer(exchange, seen)
    answer, asked = Answer(exchange, seen.now), exchange.asked
    if answer.reply is None or asked is None:
        if exchange.body == b"" and 200 <= exchange.status < 300:
            yield Found("nothing-of-scep", exchange.step, "the answer to a PKIOperation is empty")
        return
    yield from _judge_transaction(answer, asked)
    yield from _judge_signer(answer, seen)
    yield from _judge_cipher(answer, asked)
    if answer.status is PkiStatus.SUCCESS and asked.spki:
        yield from judge_issued(answer, asked, seen)


def _judge_transaction(answer: Answer, asked: Asked) -> Iterator[Found]:
    step, transaction = answer.exchange.step, asked.transaction
    there = answer.attribute("transactionID")
    if there and there != transaction.transaction_id:
        yield Found("transaction-id-wrong", f"{step}: signedAttrs.transactionID", f"it is {there}")
    theirs, ours = answer.attribute("recipientNonce"), transaction.sender_nonce.hex()
    if theirs and theirs != ours:
        own = theirs == answer.attribute("senderNonce")
        said = "it is the reply's own senderNonce" if own else f"{ours} was sent, {theirs} came back"
        yield Found("recipient-nonce-wrong", f"{step}: signedAttrs.recipientNonce", said)
    elif answer.attribute("senderNonce") == ours:
        yield Found("nonce-echoed", f"{step}: signedAttrs.senderNonce", "it is the request's")


def _judge_signer(answer: Answer, seen: Seen) -> Iterator[Found]:
    """Who signed, by what came along: iOS holds that octet by octet to what GetCACert gave."""
    signer = find_signer(answer)
    if signer is not None and not any(signer.der == one.der for one in seen.certificates):
        yield Found("signer-not-ca", f"{answer.exchange.step}: signerInfos", f"it is {_called(signer)}")


def find_signer(answer: Answer) -> Certificate | None:
    """The certificate in the message that its signer is named by."""
    named = next((one for one in answer.tree.walk() if one.name == "signer"), None)
    if named is None:
        return None
    called = ((f"serial {_serial(one)} of {_issuer(one)}", one) for one in answer.bag)
    return next((one for text, one in called if text == named.value), None)


def _serial(certificate: Certificate) -> str:
    return serial_of(Walk(certificate.serial_der).top)


def _issuer(certificate: Certificate) -> str:
    return name_of(Walk(certificate.issuer_der).top)


def _judge_cipher(answer: Answer, asked: Asked) -> Iterator[Found]:
    used = _named(answer.tree, "contentEncryptionAlgorithm")
    if used and used != oid_name(asked.cipher.oid):
        said = f"{asked.cipher.name} was sent, {used} came back"
        yield Found("reply-cipher-not-mirrored", f"{answer.exchange.step}: pkcsPKIEnvelope", said)


def _named(tree: Node, name: str) -> str:
    return next((one.value for one in tree.walk() if one.name == name), "")


def judge_issued(answer: Answer, asked: Asked, seen: Seen) -> Iterator[Found]:
    """The certificate that was issued."""
    where = f"{answer.exchange.step}: certificates"
    leaf = find_leaf(answer, asked)
    if leaf is None:
        if answer.issued:
            yield Found("leaf-other-key", where, f"it holds {_called(answer.issued[0])}")
        return
    try:
        yield from _judge_leaf(leaf, asked, seen, where)
    except Asn1Error as error:
        yield Found("damaged-encoding", where, str(error))


def _judge_leaf(leaf: Certificate, asked: Asked, seen: Seen, where: str) -> Iterator[Found]:
    if not leaf.not_valid_before <= seen.now <= leaf.not_valid_after:
        yield Found("leaf-not-valid", where, f"{leaf.not_valid_before} to {leaf.not_valid_after}")
    elif seen.roles is not None:
        try:
            seen.roles.check_issued(leaf, (), seen.now)
        except ChainBroken as error:
            yield Found("leaf-other-issuer", where, str(error))
    if leaf.is_ca:
        yield Found("leaf-is-ca", where, _called(leaf))
    if asked.subject and not leaf.subject.matches(asked.subject):
        yield Found("name-changed", where, f"{asked.subject} was asked for, {leaf.subject} came")


def find_leaf(answer: Answer, asked: Asked) -> Certificate | None:
    """The certificate for the key that was asked for."""
    return next((one for one in answer.issued if one.spki == asked.spki), None)


def _called(certificate: Certificate) -> str:
    return f"{_named_subject(certificate)}, serial {certificate.serial_number:x}"


def _named_subject(certificate: Certificate) -> str:
    return name_of(Walk(certificate.subject_der).top)
