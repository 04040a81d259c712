"""Says to a server what a device once said, under keys of its own, and compares what comes back."""

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

from app.client.raw import Sent, exchange
from app.client.transport import check_address
from app.client.trust import Roles
from app.diagnosis.attributes import Role
from app.diagnosis.inspection import inspect
from app.diagnosis.opener import Opener
from app.recorder.http_octets import HttpOctets
from app.recorder.recording import Recording
from app.recorder.rekeying import CannotReplay, rekey
from ca.errors import MalformedMessage
from ca.scep.codec import ReadMessage


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a server answered. *pki_status* to *text* are of a CertRep, and empty where there is none."""

    status: int
    media_type: str = ""
    pki_status: str = ""
    fail_info: str = ""
    text: str = ""

    @classmethod
    def read(cls, reply: bytes) -> "Verdict":
        """What the octets of an HTTP reply say. A reply is not believed by this, only read."""
        http = HttpOctets.read(reply)
        return cls.of(http.status, http.media_type, http.body)

    @classmethod
    def of(cls, status: int, media_type: str, body: bytes) -> "Verdict":
        """What an HTTP reply says that is taken apart already."""
        try:
            return cls(status, media_type, *ReadMessage.load(body).verdict)
        except MalformedMessage:
            return cls(status, media_type)

    def __str__(self) -> str:
        said = [self.pki_status, self.fail_info, self.text]
        return ", ".join([f"HTTP {self.status}" if self.status else "no answer", *filter(None, said)])


@dataclass(frozen=True, slots=True)
class Replayed:
    """A recorded verdict and that of today.

    *made_again* says that the message was not sent as it was recorded, but made under another key; *lost*
    are the findings about the recorded one that this one gives no reason for.
    """

    recorded: Verdict
    today: Verdict
    sent: Sent
    made_again: bool = False
    lost: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether a device would hear the same."""
        return self.recorded == self.today


def replay(one: Recording, url: str, roles: Roles | None, challenge_password: str = "") -> Replayed:
    """Send *one* to the server at *url*, whose certificates are *roles*, and compare the answers.

    Of what asks for no certificate nothing is made anew, and *roles* may be None. Where the recorded request
    had a challenge password, *challenge_password* is sent, or one that nobody knows.

    Raises:
        CannotReplay: It cannot be made again.
        ValueError: *url* is none.

    """
    if one.cut:
        raise CannotReplay("it was longer than is kept, so that the rest of it is missing")
    check_address(url)
    http = HttpOctets.read(one.request_octets)
    if not http.first:
        raise CannotReplay("the request is not in it")
    message = recorded = http.message
    if one.operation == "PKIOperation" and roles is not None and message:
        message = rekey(one, message, roles, challenge_password)
    sent = exchange(url, http.request_to(url, message), one.operation)
    answer, today = sent.answer, Verdict(0)
    if answer is not None:
        today = Verdict.of(answer.status, answer.header("Content-Type") or "", answer.body)
    lost = _findings(recorded, one.at) - _findings(message, datetime.now(UTC)) if message != recorded else ()
    then = Verdict.read(one.reply_octets)
    return Replayed(then, today, sent, message != recorded, tuple(sorted(lost)))


def _findings(message: bytes, now: datetime) -> set[str]:
    """What is odd about a message, and seen without opening it."""
    top = inspect(message, Opener(now), Role.REQUEST)
    return {note.finding for node in top.walk() for note in node.notes}


def address_for(one: Recording, url: str) -> str:
    """The address at the server of *url* that *one* goes to: with the recorded path where *url* has none."""
    parts = urlsplit(url)
    path = parts.path if parts.path.strip("/") else HttpOctets.read(one.request_octets).path.decode("latin-1")
    return urlunsplit(parts._replace(path=path))


def needs_ca(one: Recording) -> bool:
    """Whether the certificates of the server are needed to make it again."""
    try:
        ReadMessage.load(HttpOctets.read(one.request_octets).message)
    except MalformedMessage:
        # It goes as it came.
        return False
    return one.operation == "PKIOperation"
