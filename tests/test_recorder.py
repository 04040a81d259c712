"""What is kept of an exchange: all that explains it, nothing secret, and no more than there is room for."""

import base64
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.diagnosis.inspection import MAX_OCTETS, inspect
from app.diagnosis.knowledge import knowledge
from app.diagnosis.opener import Opener
from app.diagnosis.recorded import choose_recording
from app.recorder.fitting import find_fits
from app.recorder.heard import Heard
from app.recorder.http_octets import HttpOctets
from app.recorder.making import BEHIND_THE_ENVELOPE, FINDINGS, make_line
from app.recorder.reading import Follower, InOrder, Wanted, find_recording, list_recordings
from app.recorder.recorder import MOST_WAITING, Recorder, _File
from app.recorder.recording import (
    MAX_KEPT_OCTETS,
    MAX_LINE,
    Asked,
    NoRecording,
    Noticed,
    Recording,
    Wish,
    is_recording,
    read_recording,
)
from app.recorder.redaction import redact
from app.recorder.segments import Limits, list_segments, sweep
from app.recorder.words import Names, what_happened, what_was_asked
from ca import errors
from ca.asn1 import writer
from ca.errors import MalformedMessage
from ca.pkcs7 import encrypt, sign
from ca.scep import oids as scep_oids
from ca.x509 import oids
from tests.command_line import run
from tests.forging import Forgery
from tests.recording import heard_of, recorded
from tests.waiting import by_hand
from tests.world import NOW, SECRET, Device, World, captured_log, rsa_key, self_signed

WEEK = timedelta(days=7)
ROOM = Limits(exchanges=1000, refusals=1000, age=WEEK, refusal_age=WEEK, octets=64 << 20)
LOGIN = b"Zm9vOmJhcg=="


@contextmanager
def recording(folder: Path, limits: Limits = ROOM) -> Iterator[Recorder]:
    """A recorder at work, which has written everything at the end."""
    recorder = Recorder(folder)
    recorder.use(limits)
    recorder.start()
    try:
        yield recorder
    finally:
        recorder.stop()


def _denied(_: object) -> bool:
    raise PermissionError(13, "Permission denied")


def everything(folder: Path) -> list[Recording]:
    return list_recordings(folder, Wanted(), 1_000_000)


@pytest.fixture(scope="module")
def heard() -> Heard:
    """An enrolment that was granted."""
    world = World()
    heard = heard_of(world, Device().message(world.ca))
    world.store.close()
    return heard


@pytest.fixture(scope="module")
def refused() -> Heard:
    """One whose challenge password was used by another device."""
    world = World(uses=1)
    heard_of(world, Device("ipad-16", rsa_key(2)).message(world.ca, transaction_id="t0"))
    heard = heard_of(world, Device().message(world.ca))
    world.store.close()
    return heard


def test_an_enrolment_is_kept_with_all_that_explains_it(heard: Heard) -> None:
    """Whoever looks months later has no server any more to ask."""
    one = recorded(heard)

    assert (one.outcome, one.message, one.stage, one.status) == ("issued", "PKCSReq", "reply", 200)
    assert (one.subject, one.transaction_id, one.remote) == ("CN=ipad-17", "t1", "192.0.2.7")
    assert one.request_octets == heard.request_head + heard.request_body
    assert one.reply_octets == heard.reply
    assert {"read", "decrypt", "decide", "reply", "total"} <= one.seconds.keys()
    assert one.asked is not None
    assert (one.asked.key, one.asked.challenge) == ("rsa:2048", "given")
    assert not one.is_refusal
    assert what_happened(one) == f"sent a request: issued, certificate {one.serial}"


def test_a_refusal_says_why_and_by_whom_the_password_was_used(refused: Heard) -> None:
    """That is what the administrator is asked next."""
    one = recorded(refused)

    assert (one.outcome, one.fail_info, one.rule, one.stage) == (
        "refused",
        "badRequest",
        "ChallengeReused",
        "decide",
    )
    assert one.asked is not None
    assert one.asked.challenge == "spent"
    assert [found.id for found in one.findings] == ["challenge-refused", "refused"]
    assert "refused, challenge 1 was used already by CN=ipad-16 on" in what_happened(one)
    assert "(told: challenge password not accepted)" in what_happened(one)


def test_no_secret_is_kept(world: World) -> None:
    """Recordings are handed on: neither password, nor login, nor what was inside the envelope."""
    device = Device()
    names = x509.SubjectAlternativeName([x509.DNSName("host.example")])
    # The key identifier's value is nothing that anybody needs again.
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x04\x06hidden")
    usage = x509.ExtendedKeyUsage([x509.OID_CLIENT_AUTH])
    csr = device.csr(SECRET, names, unknown, usage)
    headers = (b"Authorization: Basic " + LOGIN, b"Cookie: a=" + LOGIN, b"X-Api-Key: " + LOGIN)
    heard = heard_of(world, device.message(world.ca, csr), *headers, query=b"&token=" + LOGIN + b"&" + LOGIN)

    line = make_line(heard, "abcdef-1")

    one = read_recording(line)
    octets = line + one.request_octets + one.reply_octets
    for secret in (SECRET.encode(), LOGIN, b"hidden", b"hidden".hex().encode(), csr[:40]):
        assert secret not in octets
    assert one.asked is not None
    assert one.asked.sans == ("dns:host.example",)
    assert {(wish.oid, wish.value is None) for wish in one.asked.wishes} == {
        ("1.2.3.4", True),
        ("2.5.29.37", False),
    }
    assert b"\r\nAuthorization: (redacted)\r\n" in one.request_octets
    assert b"&token=(redacted)&(redacted) HTTP/1.1" in one.request_octets


def bare(csr: bytes) -> bytes:
    return csr


def in_a_signature(csr: bytes) -> bytes:
    return sign(Device().certificate(), Device().key, csr)


def in_pem(csr: bytes) -> bytes:
    return x509.load_der_x509_csr(csr).public_bytes(serialization.Encoding.PEM)


def in_pem_in_base64(csr: bytes) -> bytes:
    return base64.encodebytes(in_pem(csr))


def in_pem_in_a_signature(csr: bytes) -> bytes:
    return in_a_signature(in_pem(csr))


def in_base64_in_a_signature(csr: bytes) -> bytes:
    return in_a_signature(base64.encodebytes(csr))


UNENCRYPTED = [
    *(bare, in_a_signature, in_pem, base64.b64encode, base64.urlsafe_b64encode),
    *(in_pem_in_base64, in_pem_in_a_signature, in_base64_in_a_signature),
]


@pytest.mark.parametrize("write", UNENCRYPTED)
@pytest.mark.parametrize("before", [b"", b"?", b"??"])
def test_a_password_that_nobody_encrypted_is_not_kept(
    heard: Heard, write: Callable[[bytes], bytes], before: bytes
) -> None:
    """A client of somebody's own making posts its CSR as it is, or leaves out one layer."""
    csr = Device().csr(SECRET)
    message = before + write(before + csr if write is base64.b64encode else csr)
    line = b"GET /scep?operation=PKIOperation&message=%s HTTP/1.1\r\nHost: a\r\n\r\n"
    asked = line % quote_from_bytes(message, safe="+/").encode()

    posted = recorded(replace(heard, request_body=message))
    got = recorded(replace(heard, request_head=asked, request_body=b""))

    assert posted.request_octets == heard.request_head + b"(redacted)"
    assert got.request_octets == line % b"(redacted)"


def test_a_body_that_came_in_chunks_is_read_as_any_other(heard: Heard) -> None:
    """Macs were seen to send so; the head goes on saying it."""
    head = heard.request_head.replace(b"Host:", b"Transfer-Encoding: chunked\r\nHost:")

    octets = recorded(replace(heard, request_head=head)).request_octets

    assert octets == head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(heard.request_body), heard.request_body)
    assert HttpOctets.read(octets).message == heard.request_body
    assert "transactionID" in {node.name for node in inspect(octets, Opener(NOW)).walk()}


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (
            b"GET /scep?operation=GetCACert&message= HTTP/1.0\r\n\r\n",
            b"GET /scep?operation=GetCACert&message= HTTP/1.0\r\n\r\n",
        ),
        (b"GET http://u:p@host/scep HTTP/1.1\r\n\r\n", b"GET http://host/scep HTTP/1.1\r\n\r\n"),
        (b"GET /scep?x&& HTTP/1.1\n\n", b"GET /scep?(redacted)&& HTTP/1.1\n\n"),
        (
            b"GET / HTTP/1.1\r\nAUTHORIZATION: a\r\n b\r\nHost: c\r\n\r\n",
            b"GET / HTTP/1.1\r\nAUTHORIZATION: (redacted)\r\n (redacted)\r\nHost: c\r\n\r\n",
        ),
        (b"", b""),
    ],
)
def test_the_head_is_kept_but_for_what_opens_a_door(head: bytes, kept: bytes) -> None:
    """Its form is what a fault is found by."""
    assert redact(head) == kept


def test_a_long_head_costs_no_time() -> None:
    """Strangers write it, and a search that goes back and forth would take minutes."""
    began = time.process_time()

    redact(b"GET / HTTP/1.1\r\n" + b"auth" * 50_000 + b"\r\n\r\n")

    assert time.process_time() - began < 2


def test_what_is_long_is_cut_and_says_so(heard: Heard) -> None:
    """A line has an end, whatever a stranger sends."""
    one = recorded(replace(heard, request_body=bytes(MAX_KEPT_OCTETS), reply=bytes(MAX_KEPT_OCTETS + 1)))

    assert one.cut
    assert len(one.request_octets) == len(one.reply_octets) == MAX_KEPT_OCTETS


def test_a_message_that_names_nothing_and_one_without_password_are_told(world: World, device: Device) -> None:
    """The one is a 400, the other a refusal of a kind of its own."""
    nothing = recorded(heard_of(world, b"0\x03\x02\x01\x00"))
    without = recorded(heard_of(world, device.message(world.ca, device.csr(None))))
    lost = recorded(replace(heard_of(world, device.message(world.ca)), reply=b""))

    assert (nothing.outcome, nothing.status, nothing.findings[0].id) == ("refused", 400, "http-error")
    assert what_happened(nothing).startswith("sent a message: refused with HTTP 400, not a CMS SignedData")
    assert {"challenge-refused", "csr-no-challenge"} <= {found.id for found in without.findings}
    assert without.asked is not None
    assert without.asked.challenge == "absent"
    assert (lost.outcome, lost.status) == ("unanswered", 0)
    assert what_happened(lost) == "sent a request: got no answer"


def test_what_waits_for_a_person_says_so(world: World, device: Device) -> None:
    """A device that is told PENDING says nothing by itself."""
    one = recorded(heard_of(by_hand(world), device.message(world.ca)))

    assert [found.id for found in one.findings] == ["pending"]
    assert what_happened(one) == "sent a request: it waits for a person"


def test_alternative_names_that_cannot_be_read_are_no_reason_to_keep_nothing(world: World) -> None:
    """That is what it was refused for."""
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x30\x03\x82\x01")
    device = Device()

    one = recorded(heard_of(world, device.message(world.ca, device.csr(SECRET, broken))))

    assert one.is_refusal
    assert one.asked is None or one.asked.sans == ()


def test_every_rule_leads_to_a_finding_that_is_known() -> None:
    """A rule that was renamed would lead nowhere, and nobody would notice."""
    classes = {name for name, one in vars(errors).items() if isinstance(one, type)}

    assert FINDINGS.keys() <= classes
    assert {*FINDINGS.values(), *BEHIND_THE_ENVELOPE.values()} <= knowledge().findings.keys()


def test_what_is_behind_the_envelope_is_told_apart_for_the_operator(world: World, device: Device) -> None:
    """The device hears one text, else it could decrypt what it captured; whoever mends it has to know."""
    csr = device.csr()
    spoilt = csr[:-1] + bytes([csr[-1] ^ 1])
    other_ca = self_signed("old CA", rsa_key(3))
    torn = bytearray(device.csr())
    torn[1:4] = b"\x82\xff\xff"
    envelope = encrypt([world.ca], csr)
    sealed = envelope[:-1] + bytes([envelope[-1] ^ 1])
    messages = {
        "csr-signature-wrong": device.message(world.ca, spoilt),
        "damaged-encoding": device.message(world.ca, bytes(torn)),
        "ca-mixed-up": device.message(other_ca),
        "envelope-not-opened": Forgery(device, world.ca, sealed).message(),
    }

    kept = {id: recorded(heard_of(world, message)) for id, message in messages.items()}

    assert {id: one.findings[0].id for id, one in kept.items()} == {id: id for id in messages}
    assert {one.reason for one in kept.values()} == {"the envelope cannot be read with this CA's key"}


def test_exchanges_are_written_and_found_again(tmp_path: Path, heard: Heard, refused: Heard) -> None:
    """By transaction, subject, serial, address and time; for the owner's eyes alone."""
    folder = tmp_path / "recordings"
    follower = Follower(folder)
    with recording(folder) as recorder:
        for one in (heard, refused, heard):
            recorder.keep(one)

    found = everything(folder)

    assert sorted(one.outcome for one in found) == ["issued", "issued", "refused"]
    assert follower.news() == found
    assert follower.news() == []
    bad = next(one for one in found if one.is_refusal)
    assert find_recording(folder, bad.id) == bad
    assert find_recording(folder, "000000-1") is None
    assert find_recording(folder, "../x") is None
    assert len({one.id for one in found}) == 3

    def count(**wanted: object) -> int:
        return len(list_recordings(folder, Wanted(**wanted), 10))  # type: ignore[arg-type]

    assert count(transaction="T1") == count(subject="ipad") == count(remote="192.0.2.7") == 3
    assert count(serial=found[0].serial.upper() or found[1].serial) == 2
    assert count(remote="192.0.2.8") == count(since=datetime(2999, 1, 1, tzinfo=UTC)) == 0
    assert list_recordings(folder, Wanted(), 1) == found[-1:]
    if os.name != "nt":
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_line_that_was_cut_off_or_tampered_with_hides_no_other(tmp_path: Path, heard: Heard) -> None:
    """A process that dies leaves half a line, and a disk worse."""
    line = make_line(heard, "abcdef-2")
    torn = tmp_path / "1795668935721-abcdef.jsonl"
    torn.write_bytes(b"{}\n\xff\x00\n" + line + b"x" * MAX_LINE + b"\n" + line + line[:99])
    (tmp_path / "notes.txt").write_bytes(line)
    (tmp_path / "1795668935722-abcdee.jsonl").mkdir()
    follower = Follower(tmp_path)

    assert [one.id for one in everything(tmp_path)] == ["abcdef-2"] * 2
    with torn.open("ab") as file:
        file.write(line[99:])
    assert [one.id for one in follower.news()] == []
    assert len(everything(tmp_path)) == 3


def test_a_line_that_is_half_written_is_told_once_it_is_whole(tmp_path: Path, heard: Heard) -> None:
    """Who follows may look at any moment."""
    line, path = make_line(heard, "abcdef-1"), tmp_path / "1795668935721-abcdef.jsonl"
    follower = Follower(tmp_path)
    path.write_bytes(line + line[:500])

    first = follower.news()
    with path.open("ab") as file:
        file.write(line[500:])

    assert (len(first), len(follower.news())) == (1, 1)
    path.unlink()
    assert follower.news() == []


def test_what_two_processes_wrote_is_told_in_the_order_in_which_it_came(heard: Heard) -> None:
    """One process writes its lines a moment after the other; a device asks before it sends."""
    first = recorded(heard, "abcdef-1")
    second, third = (
        first.model_copy(update={"id": f"abcdef-{n}", "at": first.at + timedelta(seconds=n)}) for n in (2, 3)
    )
    in_order = InOrder()

    told = [in_order.put(found) for found in ([second], [third, first], [])]

    assert told == [[], [first, second], [third]]
    assert in_order.rest() == []
    in_order.put([first])
    assert in_order.rest() == [first]


def test_the_oldest_go_and_refusals_stay_longer(tmp_path: Path) -> None:
    """By number, by age and by size, each kind by itself; what was not refused goes first."""

    def segment(began: int, lines: int, *, refused: bool = False, days: float = 0, octets: int = 2) -> Path:
        path = tmp_path / f"{began:013d}-{began:06x}{'.refused' if refused else ''}.jsonl"
        path.write_bytes((b"x" * (octets - 1) + b"\n") * lines)
        then = time.time() - days * 86400
        os.utime(path, (then, then))
        return path

    old, middle, new = segment(1, 5), segment(2, 5), segment(3, 5)
    bad, worse = segment(1, 5, refused=True, days=8), segment(2, 5, refused=True)

    def left(limits: Limits) -> list[Path]:
        sweep(tmp_path, limits)
        return sorted(one.path for one in list_segments(tmp_path))

    month = timedelta(days=30)
    roomy = Limits(exchanges=10, refusals=10, age=WEEK, refusal_age=month, octets=1000)
    assert left(roomy) == sorted([middle, new, bad, worse])
    assert not old.exists()
    assert left(replace(roomy, exchanges=3)) == sorted([new, bad, worse])
    assert left(replace(roomy, refusal_age=WEEK)) == sorted([new, worse])
    assert left(replace(roomy, octets=15)) == [worse]
    assert left(replace(roomy, refusals=0)) == []


def test_a_queue_that_is_full_leaves_out_and_says_how_many(tmp_path: Path, heard: Heard) -> None:
    """A request neither waits for the disk nor fails by it."""
    counted: list[tuple[int, str]] = []
    recorder = Recorder(tmp_path / "recordings", count=lambda *what: counted.append(what))
    recorder.use(ROOM)
    for _ in range(MOST_WAITING + 7):
        recorder.keep(heard)
    with captured_log("app.recorder.recorder") as lines:
        recorder.start()
        recorder.stop()

    assert len(everything(tmp_path / "recordings")) == MOST_WAITING
    assert any("count=7" in line for line in lines)
    assert counted == [(1, "queue full")] * 7


def await_complaint(lines: list[str]) -> None:
    """Until the log has a line."""
    deadline = time.monotonic() + 60
    while not lines and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_disk_that_is_full_costs_recordings_and_nothing_else(tmp_path: Path, heard: Heard) -> None:
    """And once there is room they are kept again."""
    folder = tmp_path / "recordings"
    folder.write_bytes(b"a file where the folder should be")
    with captured_log("app.recorder.recorder") as lines, recording(folder) as recorder:
        recorder.keep(heard)
        await_complaint(lines)
        folder.unlink()
        recorder.keep(heard)

    assert "exchanges were not recorded" in lines[0]
    assert len(everything(folder)) == 1


def test_what_is_missing_in_the_end_is_told_before_it(tmp_path: Path, heard: Heard) -> None:
    """The log hears of it once a minute, and a server that stops within that one would say nothing."""
    folder = tmp_path / "recordings"
    folder.write_bytes(b"a file where the folder should be")
    with captured_log("app.recorder.recorder") as lines, recording(folder) as recorder:
        recorder.keep(heard)
        await_complaint(lines)
        recorder.keep(heard)
        recorder.keep(heard)

    assert [line.split("count=")[1].split()[0] for line in lines] == ["1", "2"]


def test_a_folder_that_cannot_be_looked_into_ends_nothing(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread goes on when somebody has mended it."""
    monkeypatch.setattr(_File, "turn_over", _denied)
    with recording(tmp_path / "recordings") as recorder:
        recorder.keep(heard)

    assert len(everything(tmp_path / "recordings")) == 1


def test_a_file_that_somebody_removed_is_followed_by_another(tmp_path: Path, heard: Heard) -> None:
    """What is written into one that has no name any more is lost."""
    with recording(tmp_path) as recorder:
        recorder.keep(heard)
        deadline = time.monotonic() + 60
        while not everything(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.01)
        (first,) = tmp_path.iterdir()
        first.unlink()
        recorder.keep(heard)

    (second,) = tmp_path.iterdir()
    assert second.name != first.name
    assert len(everything(tmp_path)) == 1


def test_nothing_is_kept_where_the_settings_say_so(tmp_path: Path, heard: Heard, refused: Heard) -> None:
    """Neither all of it nor a kind of it; and what is removed meanwhile is begun anew."""
    folder = tmp_path / "recordings"
    with recording(folder, replace(ROOM, exchanges=0)) as recorder:
        recorder.keep(heard)
        recorder.keep(refused)
    assert [one.outcome for one in everything(folder)] == ["refused"]

    silent = Recorder(tmp_path / "none")
    silent.start()
    silent.keep(refused)
    silent.stop()
    assert not (tmp_path / "none").exists()


def test_what_there_is_goes_by_its_age_where_recording_was_ended(
    tmp_path: Path, heard: Heard, refused: Heard
) -> None:
    """Whoever ends it does not expect that what was to go in a week stays for ever."""
    with recording(tmp_path) as recorder:
        recorder.keep(heard)
        recorder.keep(refused)
    (old,) = [one.path for one in list_segments(tmp_path) if not one.refused]
    long_ago = time.time() - 2 * WEEK.total_seconds()
    os.utime(old, (long_ago, long_ago))

    with recording(tmp_path, replace(ROOM, on=False)) as recorder:
        recorder.keep(heard)

    assert [one.outcome for one in everything(tmp_path)] == ["refused"]


def test_what_is_handed_to_others_has_only_what_the_device_was_told(refused: Heard) -> None:
    """Who else used the password is the operator's to know; what was decided stays, and so does the rest."""
    one = recorded(refused)

    handed = one.for_others()

    assert "ipad-16" in one.model_dump_json()
    assert "ipad-16" not in handed.model_dump_json()
    assert (handed.rule, handed.reason) == (one.rule, one.reason)
    assert [found.id for found in handed.findings] == [found.id for found in one.findings]
    assert "badRequest: " in handed.findings[1].detail
    assert what_happened(handed) == "sent a request: refused, challenge password not accepted"


def test_an_exchange_that_cannot_be_recorded_takes_no_other_along(tmp_path: Path, heard: Heard) -> None:
    """A fault of the recorder must not be the end of recording."""
    with captured_log("app.recorder.recorder") as lines, recording(tmp_path) as recorder:
        recorder.keep(replace(heard, reply=None))  # type: ignore[arg-type]
        recorder.keep(heard)

    assert lines == ["an exchange cannot be recorded"]
    assert len(everything(tmp_path)) == 1


def test_who_asks_without_a_name_is_guessed_and_said_to_be_guessed(heard: Heard) -> None:
    """Behind one address may be a whole school: no device gets another one's name."""
    one = recorded(heard)
    asking = one.model_copy(
        update={"subject": "", "operation": "GetCACert", "message": "", "outcome": "answered", "serial": ""}
    )
    names = Names([one])

    assert names.of(one) == "ipad-17 (192.0.2.7)"
    assert names.of(asking) == "ipad-17? (192.0.2.7)"
    assert names.of(asking.model_copy(update={"client": "another/1"})) == "192.0.2.7"
    assert names.of(asking.model_copy(update={"at": one.at + timedelta(minutes=11)})) == "192.0.2.7"
    assert what_happened(asking) == "asked for the CA certificate"
    names.note(one.model_copy(update={"subject": "O=Example,CN=ipad-18"}))
    assert names.of(asking) == "192.0.2.7"


def test_what_a_client_always_does_is_not_odd_of_it(heard: Heard, world: World, device: Device) -> None:
    """On every line of every iPhone it says nothing; of another client it may be the trace."""
    one = recorded(heard).model_copy(update={"findings": (Noticed(id="signer-subject"),)})
    apple = one.model_copy(update={"client": "profiled/1.0 CFNetwork/901.1 Darwin/17.6.0"})

    assert what_happened(one).endswith("[odd: signer-subject]")
    assert "odd" not in what_happened(apple)
    strange = Forgery(device, world.ca).put(scep_oids.MESSAGE_TYPE, writer.printable_string("99")).message()
    assert what_happened(recorded(heard_of(world, strange))).startswith(
        "asked with messageType 99, which SCEP does not have: refused, "
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"renewal_of": "ab"}, "sent a request: renewed, certificate 1f follows ab"),
        ({"outcome": "repeated"}, "sent a request: answered as before, certificate 1f"),
        ({"message": "CertPoll"}, "asked whether its request is decided on: issued, certificate 1f"),
        (
            {"message": "GetCert", "outcome": "answered"},
            "asked for a certificate by its number: answered, certificate 1f",
        ),
        ({"message": "GetCRL", "outcome": "answered", "serial": ""}, "asked for the CRL: answered"),
        ({"note": "a\x1b[2Jb"}, "sent a request: issued, certificate 1f [a [2Jb]"),
        (
            {"operation": "unknown", "message": "", "outcome": "failed", "status": 500, "reason": ""},
            "asked for nothing that SCEP has: refused with HTTP 500, nobody noted why",
        ),
    ],
)
def test_each_ending_has_its_words(heard: Heard, changes: dict[str, object], words: str) -> None:
    """A person reads them in passing."""
    assert what_happened(recorded(heard).model_copy(update={"serial": "1f", **changes})) == words


def test_only_what_went_wrong_just_now_is_the_cause(refused: Heard, heard: Heard) -> None:
    """Yesterday's refusal explains nothing about today's."""
    bad, good = recorded(refused), recorded(heard)
    symptoms = knowledge().symptoms
    code = [symptoms["ios-22013"]]

    fits = find_fits([good, bad], code, bad.at + timedelta(minutes=1))

    assert [(fit.recording.id, fit.cause) for fit in fits] == [(bad.id, "challenge-refused")]
    assert find_fits([bad], code, bad.at + timedelta(hours=1)) == []
    assert find_fits([bad], [symptoms["certmonger-working"]], bad.at) == []


def test_what_cannot_be_what_the_device_says_hides_nothing(refused: Heard) -> None:
    """22013 is an iPhone's word for the end of a PKIOperation, and scanners ask for anything, later."""
    code = [knowledge().symptoms["ios-22013"]]
    bad = recorded(replace(refused, client="profiled/1.0 CFNetwork/901.1 Darwin/17.6.0"))
    error = {"status": 400, "outcome": "refused", "message": "", "rule": "", "detail": "", "reason": "no"}
    stray = bad.model_copy(update={**error, "findings": (Noticed(id="http-error"),), "client": "curl/8"})
    strays = [stray.model_copy(update={"at": bad.at + timedelta(seconds=n)}) for n in range(1, 8)]
    unknown = [one.model_copy(update={"operation": "unknown"}) for one in strays]
    silent = [one.model_copy(update={"client": ""}) for one in strays]

    def told(*recordings: Recording) -> list[tuple[str, bool, int]]:
        fits = find_fits(recordings, code, bad.at)
        return [(fit.cause, fit.is_client, fit.times) for fit in fits]

    assert told(*unknown) == []
    assert told(bad, *unknown, *strays, *silent) == [("challenge-refused", True, 1)]
    assert told(*strays) == [("http-error", False, 7)]
    # Where nobody can tell whose they were, what says most comes first.
    quiet = bad.model_copy(update={"client": ""})
    assert told(quiet, *silent, *strays) == [("challenge-refused", True, 1), ("http-error", True, 7)]


def test_a_recording_is_inspected_whole(refused: Heard) -> None:
    """On another machine, where there is neither key nor server."""
    one = recorded(refused)
    exported = one.model_dump_json(indent=2, exclude_defaults=True).encode()

    places = {node.place for node in inspect(exported, Opener(NOW)).walk()}
    notes = {note.finding for node in inspect(exported, Opener(NOW)).walk() for note in node.notes}

    assert {"http.request", "pkiMessage", "http.response", "CertRep"} <= places
    assert {"challenge-refused", "refused"} <= notes
    assert is_recording(exported)
    assert read_recording(exported) == one


def test_several_recordings_are_listed_and_one_of_them_is_chosen(heard: Heard, refused: Heard) -> None:
    """A file of the folder is handed on as it is; its last line may be half written."""
    lines = make_line(heard, "abcdef-1") + make_line(refused, "abcdef-2")
    several = lines + make_line(heard, "abcdef-3")[:200]

    (node,) = inspect(several, Opener(NOW)).children
    chosen = choose_recording(several, "abcdef-2")

    assert node.value == "3: --recording ID takes one of them apart"
    first, second, last = (one.value for one in node.children)
    assert first.startswith("abcdef-1, ")
    assert second.startswith("abcdef-2, ")
    assert last.startswith("cannot be read: the file: Invalid JSON")
    assert "challenge-refused" in {note.finding for note in node.children[1].notes}
    assert chosen == make_line(refused, "abcdef-2").rstrip()
    assert choose_recording(several, "abcdef-9") is None
    assert choose_recording(recorded(refused).model_dump_json(indent=2).encode(), "abcdef-1") is not None
    # Of what began before the first line that is there, nothing is in the way.
    assert inspect(lines[10:], Opener(NOW)).children[0].value.startswith("abcdef-2")


def test_a_message_is_no_file_of_recordings_for_a_line_in_it(heard: Heard) -> None:
    """A device writes what it likes into its name, and is looked at all the same."""
    line = b"\n" + make_line(heard, "abcdef-1")
    message = writer.sequence(writer.integer(1), writer.utf8_string(line.decode()))
    page = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n\r\nnothing" + line

    assert [node.name for node in inspect(message, Opener(NOW)).children] == ["ASN.1"]
    assert [node.name for node in inspect(page, Opener(NOW)).children] == ["HTTP response"]


def test_one_is_chosen_out_of_a_file_that_is_longer_than_any_message(tmp_path: Path, heard: Heard) -> None:
    """Another file is begun when one has become that long."""
    line = make_line(heard, "abcdef-1")
    file = tmp_path / "long.jsonl"
    file.write_bytes(line * (MAX_OCTETS // len(line) + 1) + make_line(heard, "abcdef-2"))

    chosen, listed = run("inspect", file, "--recording", "abcdef-2"), run("inspect", file)

    assert chosen.code == 0, chosen.err
    assert "recording: abcdef-2, " in chosen.out
    assert listed.code == 2
    assert "longer than 4 MiB; give the one message alone, or name it by --recording" in listed.err


def test_what_was_asked_for_is_told_by_its_names(world: World) -> None:
    """A person reads keyUsage, not 2.5.29.15; and what others wrote into a file hurts nobody."""
    usage = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
    device = Device("ipad-19")
    one = recorded(heard_of(world, device.message(world.ca, device.csr(SECRET, usage))))
    foreign = [Wish(oid=oids.KEY_USAGE, value="no"), Wish(oid="1.2.3", critical=True), Wish(oid="1.2.4")]

    assert what_was_asked(one) == "a key rsa:2048, keyUsage (digitalSignature, keyEncipherment)"
    assert (
        what_was_asked(one.model_copy(update={"asked": Asked(key="rsa:2048", wishes=tuple(foreign))}))
        == "a key rsa:2048, keyUsage (unreadable), 1.2.3 (critical), 1.2.4"
    )


def test_what_a_later_version_notices_is_told_by_its_name(refused: Heard) -> None:
    """And a recording of a form that is not known is not guessed at."""
    told = json.loads(make_line(refused, "abcdef-1")) | {"later": 1, "request": "", "reply": ""}
    told["findings"] = [{"id": "of-tomorrow", "detail": "\x1b[31mred"}]
    tree = inspect(json.dumps(told).encode(), Opener(NOW))
    other = inspect(json.dumps(told | {"format": "scepbox recording 2"}).encode(), Opener(NOW))

    assert "of-tomorrow" in {node.name for node in tree.walk()}
    assert "nothing-of-scep" in {note.finding for node in other.walk() for note in node.notes}


@pytest.mark.parametrize(
    "change",
    [
        {"at": "2026-11-26T04:55:36"},
        {"at": "0001-01-01T00:00:00+23:00"},
        {"request": "ä"},
        {"reply": "AAA"},
        {"subject": "x" * 5000},
        {"findings": [{"id": "refused"}] * 201},
        {"status": "many"},
        {"asked": {"key": "rsa:2048", "challenge": "open sesame"}},
    ],
)
def test_what_is_no_recording_is_said_to_be_none(heard: Heard, change: dict[str, object]) -> None:
    """It may come from anybody."""
    told = json.loads(make_line(heard, "abcdef-1")) | change

    with pytest.raises(NoRecording):
        read_recording(json.dumps(told).encode())


TEXTS = st.text(max_size=60)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
VALUES = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(TEXTS, LEAVES, max_size=3)
FIELDS = st.dictionaries(st.sampled_from(sorted(Recording.model_fields)), VALUES, max_size=6)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=FIELDS, data=st.binary(max_size=200))
def test_any_recording_is_read_or_refused_and_shown_without_control_characters(
    changes: dict[str, object], data: bytes
) -> None:
    """Whatever a stranger puts into a file, nobody's terminal is moved by it."""
    sound = {
        "format": "scepbox recording 1",
        "id": "abcdef-1",
        "at": "2026-11-26T04:55:36Z",
        "remote": "192.0.2.7",
        "operation": "PKIOperation",
        "status": 200,
        "outcome": "refused",
    }
    for octets in (json.dumps({**sound, **changes}).encode(), b'{"format":"scepbox recording 1"' + data):
        inspect(octets, Opener(NOW))
        try:
            one = read_recording(octets)
        except NoRecording:
            continue
        assert what_happened(one).isprintable()
        assert Names([one]).of(one).isprintable()


def test_a_message_that_is_malformed_is_no_exchange(world: World, device: Device) -> None:
    """It names no transaction; only HTTP tells of it."""
    forgery = Forgery(device, world.ca).drop("2.16.840.1.113733.1.9.7").message()

    with pytest.raises(MalformedMessage):
        world.respond(forgery)
    assert heard_of(world, forgery).exchange is None
