"""Chaos mode: what may lawfully happen to a client happens, by a seed, and an honest client gets there."""

import http.client
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from click.testing import CliRunner

from app.chaos.application import Chaos, respell
from app.chaos.fate import Fate, Fates
from app.cli.main import top
from ca.algorithms.levels import CryptoLevel
from ca.scep.capabilities import capabilities, encode_capabilities, parse_capabilities
from ca.scep.codec import decode_ca_certificates
from ca.scep.messages import MessageType, Pending
from tests.command_line import serving
from tests.test_reload import ask, await_
from tests.waiting import names_of
from tests.world import SECRET, Device, certificate_of

CAPABILITIES = capabilities(CryptoLevel.COMPATIBLE)


def _met(fate: Fate) -> set[str]:
    """What of it happens, in words."""
    told = {"pending": fate.pending, "lost": fate.lost, "slow": bool(fate.seconds), "odd": fate.odd}
    return {name for name, happens in told.items() if happens}


def test_the_same_seed_is_the_same_chaos() -> None:
    """Else nobody could look at what happened once more."""
    one, other, another = Fates(7), Fates(7), Fates(8)
    fates = [one.draw() for _ in range(200)]

    assert fates == [other.draw() for _ in range(200)]
    assert fates != [another.draw() for _ in range(200)]
    assert {word for fate in fates for word in _met(fate)} == {"pending", "lost", "slow", "odd"}
    assert all(0 <= fate.seconds <= 5 for fate in fates)
    assert Fate() in fates


def test_capabilities_that_are_spelt_oddly_mean_the_same() -> None:
    """It is lawful, and a client that fails by it has a fault."""
    words = respell(encode_capabilities(CAPABILITIES))

    assert parse_capabilities(words) == {word.upper() for word in (*CAPABILITIES, "X-SCEPBOX-CHAOS")}


def test_what_the_application_opened_is_closed() -> None:
    """PEP 3333: whoever reads an answer closes it, when it broke off too."""
    closed = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"half"
            raise OSError("it breaks off")

        def close(self) -> None:
            closed.append(True)

    def web(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Body()

    with pytest.raises(OSError, match="it breaks off"):
        Chaos(1).around(web)({}, lambda *_: lambda _: None)
    assert closed == [True]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("serve --chaos --chaos-seed 99999999999999999999", "not in the range 0<=x<=9223372036854775807"),
        ("enroll http://127.0.0.1:9/ --interval 1e308", "1e+308 is not in the range 0.1<=x<=86400"),
        ("enroll http://127.0.0.1:9/ --interval nan", "'nan' is no number of seconds"),
        ("doctor http://127.0.0.1:9/ --timeout inf", "inf is not in the range 0.1<=x<=86400"),
    ],
)
def test_numbers_that_nobody_means_are_refused_in_words(words: str, said: str) -> None:
    """Rather than waited for until the end of time."""
    done = CliRunner().invoke(top, words.split())

    assert done.exit_code == 2
    assert said in done.stderr


def test_chaos_is_loud_and_an_honest_client_gets_its_certificate(tmp_path: Path) -> None:
    """PENDING although it is issued, BER, chunks, no answer at all: each is told, and refuses nobody."""
    data, log = tmp_path / "data", tmp_path / "log"
    for verb, stdin in (("init", ""), ("challenge new --secret -", SECRET)):
        assert CliRunner().invoke(top, [*verb.split(), "--data", str(data)], input=stdin).exit_code == 0
    seed = find_seed()
    options = ("--chaos", "--chaos-seed", seed, "--listen", "127.0.0.1:0", "--admin-listen", "off")
    with serving("serve", "--data", data, *options, log=log) as service:
        words = ask(service.url, "GET", "/scep?operation=GetCACaps", None)
        (ca,) = decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])
        device = Device(signing_time=None)
        first = ask(service.url, "POST", "/scep?operation=PKIOperation", device.message(ca))
        asking = device.message(ca, names_of(ca, device), message_type=MessageType.CERT_POLL)
        second = ask(service.url, "POST", "/scep?operation=PKIOperation", asking)
        with pytest.raises(http.client.RemoteDisconnected):
            ask(service.url, "GET", "/scep?operation=GetCACaps", None)
        pages = service.get("/healthz")[1]

        assert words.body.startswith(b"X-SCEPBOX-CHAOS\r\n")
        assert isinstance(device.read(first.body, ca), Pending)
        assert second.body[:2] == b"\x30\x80"
        certificate_of(device.read(second.body, ca))
        assert pages
        await_(lambda: "got no answer" in CliRunner().invoke(top, ["log", "--data", str(data)]).stdout)
    assert f"chaos seed: {seed};" in service.log
    assert service.log.count("CHAOS MODE") == 2
    assert len(re.findall(rf"app\.chaos\.application chaos={seed} .*path=/scep ", service.log)) == 5
    assert "outcome=issued" in service.log
    assert 'note="chaos mode, told PENDING"' in service.log


def find_seed() -> int:
    """One by which the five requests meet with odd words, nothing, PENDING, BER, and no answer."""
    wanted: tuple[set[str], ...] = ({"odd"}, set(), {"pending"}, {"odd"}, {"lost"})

    def fits(seed: int) -> bool:
        fates = Fates(seed)
        met = [_met(fates.draw()) for _ in wanted]
        return met == list(wanted)

    return next(seed for seed in range(1_000_000) if fits(seed))


def test_a_seed_without_chaos_is_told(tmp_path: Path) -> None:
    """Whoever gives one means chaos, and would look for it in vain."""
    done = CliRunner().invoke(top, ["serve", "--data", str(tmp_path / "data"), "--chaos-seed", "1"])

    assert (done.exit_code, done.stdout) == (2, "")
    assert "--chaos-seed goes with --chaos" in done.stderr
    assert not (tmp_path / "data").exists()
