"""``inspect`` reads what people paste: out of mails, editors, terminals, dumps, access logs and proxies."""

import base64
import gzip
import json
import quopri
import shutil
import subprocess
import zlib
from pathlib import Path
from urllib.parse import quote

import pytest

from app.diagnosis.attributes import Role
from app.diagnosis.inspection import inspect
from app.diagnosis.knowledge import knowledge
from app.diagnosis.node import PLACES, Node
from app.diagnosis.opener import Opener
from app.recorder.recording import FORMAT
from ca.scep import codec
from tests.world import NOW, Device, World

KNOWN = knowledge()


def look(data: bytes, role: Role = Role.UNKNOWN) -> Node:
    """The tree of *data*, every note of which stands where its finding is said to be shown."""
    top = inspect(data, Opener(NOW), role)
    for node in top.walk():
        assert node.place in {"", *PLACES}
        for note in node.notes:
            if note.finding in ("pasted-form", "http-compressed"):
                assert node.place in KNOWN.findings[note.finding].where
    return top


def values(top: Node, name: str) -> list[str]:
    """What stands at every place of that name."""
    return [node.value for node in top.walk() if node.name == name]


def noted(top: Node) -> dict[str, str]:
    """The findings, each with its detail."""
    return {note.finding: note.detail for node in top.walk() for note in node.notes}


def forms(top: Node) -> list[str]:
    """The forms that were taken off, from the outside in."""
    return [note.detail for node in top.walk() for note in node.notes if note.finding == "pasted-form"]


def is_whole(top: Node) -> bool:
    """Whether the message arrived as it was sent."""
    damage = {"base64-damaged", "damaged-encoding", "nothing-of-scep", "trailing-bytes"}
    holds = "the signature holds" in values(top, "verdict")
    return values(top, "transactionID") == ["t1"] and holds and not damage & noted(top).keys()


@pytest.fixture(scope="module")
def message() -> bytes:
    return Device().message(World().ca)


@pytest.fixture(scope="module")
def pem(message: bytes) -> bytes:
    return b"-----BEGIN PKCS7-----\n" + base64.encodebytes(message) + b"-----END PKCS7-----\n"


@pytest.fixture(scope="module")
def target(message: bytes) -> str:
    """The address of the message in a GET, without the host."""
    return f"/scep?operation=PKIOperation&message={quote(base64.b64encode(message).decode(), safe='')}"


def test_what_an_answer_by_mail_quotes_is_read(message: bytes, pem: bytes) -> None:
    """Each line has a > in front, or several, and somebody's words are around it."""
    once = b"".join(b"> " + line + b"\r\n" for line in pem.splitlines())
    twice = b"On Monday somebody wrote:\n" + b"".join(b"> >" + line + b"\n" for line in pem.splitlines())
    bare = b"".join(b"> " + line + b"\n" for line in base64.encodebytes(message).splitlines())

    for data in (once, twice, bare):
        assert is_whole(top := look(data))
        assert forms(top) == ["read as mail quoting"]


def test_quoted_printable_is_read(message: bytes, pem: bytes, target: str) -> None:
    """The source of a mail: an = is written out, and long lines are broken with one."""
    request = f"GET {target} HTTP/1.1\r\nHost: ca.example\r\n\r\n".encode()
    long_line = b"This is what it sent:\n\n" + f"https://ca.example{target}\n".encode()

    for data in (pem, request, long_line, b"\n".join((b"the message", b"", pem))):
        written = quopri.encodestring(data)
        assert is_whole(top := look(written))
        # Base64 that happens to need no = is written as it is.
        assert forms(top)[:1] == ["read as quoted-printable"] or written == data
    quoted = b"".join(b"> " + line + b"\n" for line in quopri.encodestring(long_line).splitlines())
    assert is_whole(top := look(quoted))
    assert forms(top)[:2] == ["read as mail quoting", "read as quoted-printable"]


def test_base64_is_not_taken_for_quoted_printable(message: bytes, pem: bytes) -> None:
    """Its last line ends with an = too."""
    for cut in range(3):
        padded = base64.encodebytes(message[: len(message) - cut])
        for data in (padded, pem.replace(base64.encodebytes(message), padded), padded + b"\n\n"):
            assert forms(look(data)) == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_read(pem: bytes, target: str, encoding: str) -> None:
    """What PowerShell's > writes, with and without the mark in front."""
    for text in (pem.decode(), f"https://ca.example{target}\r\n"):
        assert is_whole(top := look(text.encode(encoding)))
        assert forms(top)[0] == "read as UTF-16"


def test_hexadecimal_is_read(message: bytes) -> None:
    """With whatever stands between the digits; what is cut within an octet is said to be."""
    pairs = [f"{octet:02X}" for octet in message]
    lines = [" ".join(pairs[at : at + 16]) for at in range(0, len(pairs), 16)]

    for text in (
        message.hex(),
        "\n".join(message.hex()[at : at + 60] for at in range(0, 2 * len(message), 60)),
        ":".join(pairs),
        "\r\n".join(lines),
        "{" + ", ".join(f"0x{pair}" for pair in pairs) + "};",
        "".join(f"\\x{pair}" for pair in pairs),
    ):
        assert is_whole(top := look(text.encode()))
        assert forms(top) == ["read as hexadecimal"]
    cut = look(message.hex()[:-1].encode())
    assert forms(cut) == ["read as hexadecimal, its last digit is missing"]
    assert "damaged-encoding" in noted(cut)


def dump(data: bytes, offset: str, gap: str, octet: str, group: int, end: str) -> str:
    """A dump with 16 octets a row and the characters beside them, as many a tool writes it."""
    rows = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        pieces = [row[one : one + group] for one in range(0, len(row), group)]
        text = " ".join("".join(format(one, octet) for one in piece) for piece in pieces)
        shown = "".join(chr(one) if 32 <= one < 127 else "." for one in row)
        rows.append(f"{at:{offset}}{gap}{text:{32 + 16 // group - 1}}{end.replace('#', shown)}")
    return "\n".join(rows) + "\n"


DUMPS = {
    "xxd": ("08x", ": ", "02x", 2, "  #"),
    "xxd -g1": ("08x", ": ", "02x", 1, "  #"),
    "hexdump -C": ("08x", "  ", "02x", 1, "  |#|"),
    "Wireshark": ("04x", "   ", "02x", 1, "   #"),
    "Format-Hex": ("08X", "   ", "02X", 1, "  #"),
    "od -A x -t x1": ("06x", " ", "02x", 1, ""),
    "od -t x1": ("07o", " ", "02x", 1, ""),
}


@pytest.mark.parametrize("tool", DUMPS)
def test_hex_dumps_are_read(message: bytes, tool: str) -> None:
    """The characters beside the octets may be digits too, and the last row is a short one."""
    for more in (0, 1, 7, 8, 15):
        data = message[:-more] if more else message
        for text in (
            written := dump(data, *DUMPS[tool]),
            f"Path: a\n\n{written}",
            written.replace("\n", "\r\n"),
        ):
            top = look(text.encode())
            assert forms(top) == ["read as a hex dump"]
            assert values(top, "a hex dump") == [f"{len(data)} octets"]
    assert is_whole(look(dump(message, *DUMPS[tool]).encode()))
    rows = dump(message, *DUMPS[tool]).splitlines()
    assert "missing or cut" in forms(look("\n".join([*rows[:9], rows[9][:30], *rows[10:]]).encode()))[0]


@pytest.mark.parametrize(
    "command",
    ["xxd", "xxd -c 32", "xxd -p", "hexdump", "hexdump -C", "od -v -t x1", "od -A x -t x1z -v"],
)
def test_what_tools_of_this_machine_dump_is_read(message: bytes, tmp_path: Path, command: str) -> None:
    """Written by themselves, where they are there; hexdump turns the octets of a word round."""
    tool, *options = command.split()
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not on this machine")

    for less in range(2):
        data = message[: len(message) - less]
        (tmp_path / "message").write_bytes(data)
        done = subprocess.run([tool, *options, tmp_path / "message"], capture_output=True, check=True)
        top = look(done.stdout)
        assert values(top, "a hex dump") + values(top, "hexadecimal") == [f"{len(data)} octets"]
        assert less or is_whole(top)


def test_a_dump_that_hides_equal_rows_says_so() -> None:
    """A * stands for them; what is there of the rest is not whole."""
    rows = "00000000  30 82 01 00 00 00 00 00  00 00 00 00 00 00 00 00  |0...............|\n"
    hidden = (
        rows + "00000010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\n00000100\n"
    )

    assert forms(look(hidden.encode())) == ["read as a hex dump, rows of it are missing or cut"]


def test_addresses_and_lines_of_logs_are_read(target: str) -> None:
    """Of servers and proxies, and the address alone; nothing is said of headers that are not there."""
    nginx = f'192.0.2.7 - bob [26/Nov/2026:09:00:00 +0000] "GET {target} HTTP/1.1" 200 1 "-" "agent/1 (x)"\n'
    squid = f"1764147600.000 1 192.0.2.7 TCP_MISS/200 1 GET http://ca.example{target} - DIRECT/1 text/plain\n"
    caddy = '{"level":"info","request":{"method":"GET","uri":"' + target.replace("&", "\\u0026") + '"}}\n'
    broken = f"https://ca.example{target}"

    for text in (
        f"https://ca.example{target}",
        f"<https://ca.example{target}>",
        f"GET {target}",
        f"GET {target} HTTP/1.1\n",
        f"GET http://ca.example:8080{target} HTTP/1.0",
        f"[info] {nginx}",
        *(nginx, squid, caddy),
        "\n".join(broken[at : at + 76] for at in range(0, len(broken), 76)),
    ):
        top = look(text.encode())
        assert is_whole(top), text[:60]
        assert "http-host-missing" not in noted(top)
        assert list(noted(top)) == ["pasted-form"]
    whole = look(f"GET {target} HTTP/1.1\r\n\r\n".encode())
    assert is_whole(whole)
    assert list(noted(whole)) == ["http-host-missing"]


def test_each_line_of_a_log_is_read_up_to_a_bound(target: str) -> None:
    """And what stands in it beside the request is nobody's: logins are not shown."""
    caps = '192.0.2.7 - - "GET /scep?operation=GetCACaps HTTP/1.0" 200 9 "https://x/?a=b" "curl"\n'
    post = '192.0.2.7 - - "POST /scep?operation=PKIOperation HTTP/1.0" 200 9\n'

    several = look(f'{caps}{post}192.0.2.7 - - "GET {target} HTTP/1.0" 200 1\n'.encode())

    assert is_whole(several)
    assert values(several, "operation") == ["GetCACaps", "PKIOperation", "PKIOperation"]
    assert values(several, "body") == ["is not in it"]
    assert len(values(look(caps.encode() * 1000), "HTTP request")) == 64
    login = look(f"https://bob:secret@ca.example{target}".encode())
    assert "secret" not in str([node.value for node in login.walk()])


def test_request_lines_one_after_another_are_no_request_with_headers(target: str) -> None:
    """As somebody has cut them out of a log; a request whose headers are odd stays one."""
    several = look(f"GET /scep?operation=GetCACaps HTTP/1.1\nGET {target} HTTP/1.1\n".encode())
    odd = look(f"GET {target} HTTP/1.1\r\nno header\r\n\r\n".encode())

    assert values(several, "operation") == ["GetCACaps", "PKIOperation"]
    assert is_whole(several)
    assert is_whole(odd)
    assert forms(odd) == []


def test_a_recording_is_read_as_it_is() -> None:
    """A device may call itself what looks like a part of a mail."""
    told = {"format": FORMAT, "id": "a-1", "at": "2026-01-02T03:04:05Z", "remote": "192.0.2.7", "status": 200}
    line = json.dumps(
        {**told, "client": "x=3D1 /?operation=a", "operation": "GetCACaps", "outcome": "answered"}
    )

    top = look(line.encode())

    assert forms(top) == []
    assert values(top, "client") == ["x=3D1 /?operation=a"]


def test_only_what_was_pasted_is_held_to_have_been() -> None:
    """An answer off the wire in such a form is wrong as it stands."""
    page = b"HTTP/1.1 200 OK\r\n\r\n<a href='/scep?operation=GetCACert'>here</a>"

    assert "html-body" in noted(look(page))
    for data in ("AES\nSHA-256\n".encode("utf-16"), b"> AES\n> SHA-256\n", b"/scep?operation=GetCACaps"):
        assert forms(look(data))
        assert not forms(look(data, Role.ANSWER))


def test_a_reply_in_hexadecimal_is_no_der(message: bytes) -> None:
    """A server that sends it is told so."""
    reply = World().respond(message).hex().encode()
    top = look(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-pki-message\r\n\r\n" + reply)

    assert "reply-not-der" in noted(top)
    assert values(top, "pkiStatus")


def test_compressed_replies_are_opened_and_told() -> None:
    """No client of SCEP but a few asks for it; a damaged one is told, and a bomb is over soon."""
    world = World()
    kind, body = codec.encode_ca_certificates((world.ca,))

    def answer(coding: str, body: bytes) -> Node:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Encoding: {coding}\r\n\r\n"
        return look(head.encode() + body)

    for coding, packed in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body))):
        top = answer(coding, packed)
        assert noted(top) == {"http-compressed": coding}
        assert values(top, "certificate") == ["CN=Test CA"]
    assert noted(answer("identity", body)) == {}
    assert noted(answer("gzip", body)) == {"http-compressed": "gzip; what is here is read as it is"}
    assert noted(answer("gzip", gzip.compress(body)[:-20]))["http-compressed"] == "gzip, it breaks off"
    assert "nothing-of-scep" in noted(answer("gzip", b"\x1f\x8b\x08" + b"x" * 40))
    bomb = answer("gzip", gzip.compress(bytes(64 << 20)))
    assert noted(bomb)["http-compressed"] == "gzip, it is longer than 4 MiB"


def test_gzip_without_a_header_is_opened() -> None:
    """A body that was saved by itself, or a file of somebody's own."""
    packed = gzip.compress(World().ca.der)

    assert noted(look(packed)) == {"pasted-form": "read as gzip"}
    assert values(look(packed), "certificate") == ["CN=Test CA"]
    assert noted(look(packed, Role.ANSWER)) == {"http-compressed": "gzip, and no header says so"}
