"""Our client and time: capabilities that tell how to ask, and waiting for a person's approval."""

from collections.abc import Iterator

import pytest

from app.client import ClientError, ScepClient, Transport, Unreachable, Unsettled
from app.client.client import sleeping
from ca.algorithms.ciphers import AES_128_CBC, DES_EDE3_CBC
from ca.algorithms.digests import SHA1, SHA256, SHA512
from ca.errors import FailInfo
from ca.scep.messages import Failure, MessageType, Pending, Success
from tests.forged import Applicant, ForgedServer, applicant, issue, serving


@pytest.fixture
def server() -> Iterator[ForgedServer]:
    """A sound server, which a test bends."""
    with serving(ForgedServer()) as forged:
        yield forged


@pytest.mark.proves("R-2.5.1-a", "R-3.2.1.1-a", "R-3.2.1.5-a", "R-4.4-a")
def test_a_pending_request_is_polled_until_it_is_granted(server: ForgedServer) -> None:
    """RFC 8894 3.3.3: one transactionID throughout, a fresh nonce for each message."""
    server.answers = [Pending(), Pending(), Success(issue())]

    certificate = applicant(server).enrol(polls=5)

    kinds = [message.message_type for message in server.received]
    transactions = {message.transaction.transaction_id for message in server.received}
    nonces = {message.transaction.sender_nonce for message in server.received}
    assert certificate.der == issue()
    assert kinds == [MessageType.PKCS_REQ, MessageType.CERT_POLL, MessageType.CERT_POLL]
    assert (len(transactions), len(nonces)) == (1, 3)


@pytest.mark.proves("R-2.5.1-a")
def test_a_pending_request_may_be_refused(server: ForgedServer) -> None:
    """RFC 8894 3.3.2.2: the person said no."""
    server.answers = [Pending(), Failure(FailInfo.BAD_REQUEST, "not one of ours")]

    with pytest.raises(ClientError, match="not one of ours"):
        applicant(server).enrol(polls=5)


@pytest.mark.proves("R-2.5.1-a")
def test_polling_ends_when_patience_does(server: ForgedServer) -> None:
    """RFC 8894 4.4: the client's own limit; the words name the transaction, to ask about it."""
    server.answers = [Pending()]

    with pytest.raises(Unsettled, match="pending"):
        applicant(server).enrol(polls=3)

    assert len(server.received) == 4


def test_nobody_polls_unless_told_to(server: ForgedServer) -> None:
    """Without a *wait* the first PENDING ends it."""
    server.answers = [Pending()]

    with pytest.raises(Unsettled, match="pending"):
        applicant(server).enrol()

    assert len(server.received) == 1


def test_a_poll_that_gets_no_answer_is_said(server: ForgedServer) -> None:
    """A server that fails while a request is pending."""
    server.answers = [Pending(), 503]

    with pytest.raises(Unsettled, match="HTTP 503"):
        applicant(server).enrol(polls=5)


def test_sleeping_counts_its_polls() -> None:
    """The command line's --interval and --max-polls."""
    wait = sleeping(0, 2)

    assert [wait(poll) for poll in (1, 2, 3)] == [True, True, False]


@pytest.mark.proves("R-2.3-c")
def test_a_renewal_says_so(server: ForgedServer) -> None:
    """RFC 8894 3.3.1.2: messageType 17."""
    applicant(server).enrol(renewal=True)

    assert server.received[0].message_type is MessageType.RENEWAL_REQ


@pytest.mark.proves("R-2.3-c")
@pytest.mark.parametrize("capabilities", [b"AES\nPOSTPKIOperation\nSHA-256\n", b"SCEPStandard\n", b"", 404])
def test_without_a_promise_of_renewal_it_is_a_pkcs_req(
    server: ForgedServer, capabilities: bytes | int
) -> None:
    """RFC 8894 2.3: a server that promises none refuses messageType 17, or takes it for a fault."""
    server.capabilities = capabilities
    server.answers = [Pending(), Success(issue())]

    applicant(server).enrol(renewal=True, polls=1)

    kinds = [message.message_type for message in server.received]
    assert kinds == [MessageType.PKCS_REQ, MessageType.CERT_POLL]


@pytest.mark.proves("K-09", "R-3.5.2-i", "R-2.9-b")
@pytest.mark.parametrize(
    "capabilities",
    [b"", b"<html><body>Not here</body></html>", 404, 500],
    ids=["empty", "a page", "404", "500"],
)
def test_no_list_of_capabilities_is_no_capability(server: ForgedServer, capabilities: bytes | int) -> None:
    """K-09, RFC 8894 3.5.2: the client falls back on what every old server does, by GET."""
    server.capabilities = capabilities

    applicant(server).enrol()

    assert server.received[0].digest is SHA1
    assert server.requests[0].cipher is DES_EDE3_CBC
    assert server.methods == ["GET"]


@pytest.mark.proves(
    "R-3.5.2-d", "R-3.5.2-e", "R-3.5.2-h", "R-4.1-d", "R-4.1-e", "R-3.5.2-a", "R-2.9-a", "R-2.9-b"
)
@pytest.mark.parametrize(
    ("capabilities", "digest", "cipher", "method"),
    [
        (b"SCEPStandard\n", SHA256, AES_128_CBC, "POST"),
        (b"scepstandard", SHA256, AES_128_CBC, "POST"),
        (b"AES\r\nSHA-512\r\n", SHA512, AES_128_CBC, "GET"),
        (b"POSTPKIOperation\nSHA-1\n", SHA1, DES_EDE3_CBC, "POST"),
        (b"DES3\nSHA-256\nSomethingNew\n", SHA256, DES_EDE3_CBC, "GET"),
    ],
    ids=["SCEPStandard", "in lower case", "CRLF", "the Ruby sample", "unknown words"],
)
def test_capabilities_choose_how_to_ask(
    server: ForgedServer, capabilities: bytes, digest: object, cipher: object, method: str
) -> None:
    """RFC 8894 3.5.2: the best of what both sides know; what is unknown is passed over."""
    server.capabilities = capabilities

    applicant(server).enrol()

    assert server.received[0].digest is digest
    assert server.requests[0].cipher is cipher
    assert server.methods == [method]


@pytest.mark.proves("R-3.5.2-d")
@pytest.mark.parametrize("media_type", ["text/html; charset=utf-8", "application/octet-stream", ""])
def test_the_type_of_capabilities_is_not_asked(server: ForgedServer, media_type: str) -> None:
    """RFC 8894 3.5.2: old servers name any."""
    server.capabilities_type = media_type

    applicant(server).enrol()

    assert (server.received[0].digest, server.methods) == (SHA256, ["POST"])


@pytest.mark.proves("K-11", "S-08")
def test_strict_stops_where_capabilities_were_stripped(server: ForgedServer) -> None:
    """K-11, RFC 8894 7.5: somebody on the way may have removed them, and nothing was sent yet."""
    server.capabilities = b"POSTPKIOperation\nDES3\nSHA-1\n"

    with pytest.raises(ClientError, match="does not promise AES"):
        applicant(server, strict=True).enrol()

    assert server.received == []


def test_strict_is_content_with_what_the_rfc_demands(server: ForgedServer) -> None:
    """RFC 8894 3.5.2: SCEPStandard is all of it in one word."""
    server.capabilities = b"SCEPStandard\n"

    applicant(server, strict=True).enrol()


@pytest.mark.proves("K-11")
def test_strict_stops_whatever_else_was_chosen(server: ForgedServer) -> None:
    """K-11: naming digest, cipher and method by hand does not switch the check off."""
    server.capabilities = b"DES3\nSHA-1\n"
    client = ScepClient(Transport(server.url), strict=True, digest=SHA256, cipher=AES_128_CBC, post=True)

    with pytest.raises(ClientError, match="does not promise AES"):
        Applicant(client).enrol()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://127.0.0.1/scep", "not an http:// or https:// address"),
        ("127.0.0.1:8080/scep", "not an http:// or https:// address"),
        ("scep.example.org/scep", "not an http:// or https:// address"),
        ("", "not an http:// or https:// address"),
        ("http:///scep", "names no host"),
        ("http://127.0.0.1:0/scep", "names no host and port"),
        ("http://no such host/scep", "spaces"),
        ("http://127.0.0.1/scep\n", "spaces"),
        ("http://127.0.0.1/scep#1", "#"),
        ("http://127.0.0.1/sc\u00e9p", "other letters than ASCII"),
        ("http://[::1/scep", "not an address"),
        ("http://127.0.0.1:99999/scep", "not an address"),
        ("http://127.0.0.1:http/scep", "not an address"),
        ("http://ann:secret@127.0.0.1/scep", "before the @"),
    ],
)
def test_an_address_that_is_none_is_refused_at_once(url: str, why: str) -> None:
    """A mistyped address is the commonest mistake there is."""
    with pytest.raises(ValueError, match=why) as caught:
        Transport(url)

    assert str(caught.value).isprintable()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/scep", "http://no-such-host.invalid/scep"])
def test_an_address_where_nobody_answers_is_said(url: str) -> None:
    """Nothing was sent, so there is nothing to go on with."""
    with pytest.raises(Unreachable, match="no answer"):
        Applicant(ScepClient(Transport(url))).enrol()


def test_an_address_may_bring_a_query_of_its_own(server: ForgedServer) -> None:
    """Some products tell their tenants apart by it."""
    Applicant(ScepClient(Transport(f"{server.url}?tenant=7"))).enrol()


@pytest.mark.proves("R-5.2-a")
def test_the_same_request_goes_under_the_same_transaction(server: ForgedServer) -> None:
    """RFC 8894 3.2.1.1: what was interrupted goes on when it is asked again; a renewal is another."""
    client = applicant(server)
    client.enrol()
    applicant(server).enrol()
    client.enrol(renewal=True)

    first, again, renewal = (message.transaction.transaction_id for message in server.received)

    assert first == again != renewal
