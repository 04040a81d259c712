"""The guide for the porter of the Ruby sample holds: its names exist, its program runs, Ruby agrees."""

import importlib
import inspect
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from ca import pkcs7
from ca.algorithms.ciphers import DES_EDE3_CBC
from ca.algorithms.digests import SHA1
from ca.deviations import Deviations
from ca.errors import InvalidReply, MalformedMessage
from ca.issuing.key_store import encode_private_key
from ca.issuing.root import encode_pem
from ca.scep import codec
from ca.scep.messages import Transaction
from ca.x509.certificate import Certificate
from tests.interop import peers
from tests.world import NONCE, ROOT, Device, World, certificate_of, rsa_key, spki

GUIDE = (ROOT / "docs" / "ruby.md").read_text("utf-8")
ROWS = [row.split(" | ") for row in re.findall(r"(?m)^\| (.+ \| .+ \| .+) \|$", GUIDE)][1:]
NAMES = sorted({name for row in ROWS for name in re.findall(r"`(ca\.[\w.]+)`", " ".join(row[1:]))})
BLOCKS = re.findall(r"(?s)```python\n(.+?)```", GUIDE)


def resolve(dotted: str) -> Any:
    """What a dotted name stands for: the longest module in it, then attributes."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(dotted)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_the_table_exists(name: str) -> None:
    """A guide that names what is no longer there sends its reader astray."""
    assert resolve(name) is not None


def test_the_table_covers_the_whole_of_the_wrappers() -> None:
    """Whoever knows the Ruby name finds ours, so each wrapper has its row."""
    here = "\n".join(row[1] for row in ROWS)

    assert [name for name in pkcs7.__all__ if f"`ca.pkcs7.{name}" not in here] == []


def wrappers() -> list[Any]:
    """The functions and classes of ca.pkcs7, and what of those classes stands in the table's middle."""
    listed = [resolve(name) for row in ROWS for name in re.findall(r"`(ca\.pkcs7\.\w+\.\w+)`", row[1])]
    return [*(getattr(pkcs7, name) for name in pkcs7.__all__), *listed]


def test_every_wrapper_says_what_it_is_in_ruby() -> None:
    """The last line of a docstring leads back to the Ruby name."""
    last = {
        str(one): (inspect.getdoc(one) or "").splitlines()[-1]
        for one in wrappers()
        if one is not pkcs7.SignedData.signer_info
    }

    assert {one: line for one, line in last.items() if not line.startswith("Ruby: ")} == {}


@pytest.fixture
def workplace(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a CA and a request, as the guide wants it."""
    ca = tmp_path / "data" / "ca"
    ca.mkdir(parents=True)
    (ca / "ca.pem").write_bytes(encode_pem(world.ca))
    (ca / "ca.key").write_bytes(encode_private_key(world.key))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_program_in_the_guide_answers_a_request(world: World, device: Device, workplace: Path) -> None:
    """RFC 8894 3.3.2: a client with all its checks accepts either of the two replies it makes."""
    (workplace / "request.der").write_bytes(device.message(world.ca))
    names: dict[str, Any] = {}
    replies = []

    for block in BLOCKS:
        exec(compile(block, "docs/ruby.md", "exec"), names)
        replies += [names.pop("reply")] if "reply" in names else []
    written = (workplace / "reply.der").read_bytes()

    assert len(replies) == 2
    assert written == replies[-1]
    for reply in replies:
        assert str(certificate_of(device.read(reply, world.ca)).subject) == "CN=ipad-17"


READ_REPLY = """
reply = OpenSSL::PKCS7.new(File.binread("reply.der"))
abort "type" unless reply.type == :signed
ca = OpenSSL::X509::Certificate.new(File.binread("ca.der"))
store = OpenSSL::X509::Store.new.add_cert(ca)
abort "signature" unless reply.verify([], store, nil, 0)
abort "signer" unless reply.signers.map(&:serial) == [ca.serial]
key = OpenSSL::PKey::RSA.new(File.read("device.key"))
signer = OpenSSL::X509::Certificate.new(File.binread("device.der"))
bag = OpenSSL::PKCS7.new(OpenSSL::PKCS7.new(reply.data).decrypt(key, signer))
abort "bag" unless bag.certificates.size == 1
File.binwrite("issued.der", bag.certificates.first.to_der)
"""

WRITE_REQUEST = """
key = OpenSSL::PKey::RSA.new(File.read("device.key"))
signer = OpenSSL::X509::Certificate.new(File.binread("device.der"))
ca = OpenSSL::X509::Certificate.new(File.binread("ca.der"))
cipher = OpenSSL::Cipher.new("des-ede3-cbc")
sealed = OpenSSL::PKCS7.encrypt([ca], File.binread("csr.der"), cipher, OpenSSL::PKCS7::BINARY)
signed = OpenSSL::PKCS7.sign(signer, key, sealed.to_der, [], OpenSSL::PKCS7::BINARY)
File.binwrite("request.der", signed.to_der)
"""

# add_data is the one line more that OpenSSL 3 wants, see the guide.
SAMPLE = """
p7 = OpenSSL::PKCS7.new(File.binread("request.der"))
p7.verify(nil, OpenSSL::X509::Store.new, nil, OpenSSL::PKCS7::NOVERIFY) || abort("signature")
ca = OpenSSL::X509::Certificate.new(File.binread("ca.der"))
key = OpenSSL::PKey::RSA.new(File.read("ca.key"))
csr = OpenSSL::X509::Request.new(OpenSSL::PKCS7.new(p7.data).decrypt(key, ca))
abort "csr" unless csr.verify(csr.public_key)
certificate = OpenSSL::X509::Certificate.new
certificate.serial, certificate.version = 7, 2
certificate.subject, certificate.issuer = csr.subject, ca.subject
certificate.public_key = csr.public_key
certificate.not_before, certificate.not_after = ca.not_before, ca.not_after
certificate.sign(key, OpenSSL::Digest.new("SHA256"))
bag = OpenSSL::PKCS7.new
bag.type = "signed"
bag.certificates = [certificate]
bag.add_data("")
cipher = OpenSSL::Cipher.new("des-ede3-cbc")
sealed = OpenSSL::PKCS7.encrypt(p7.certificates, bag.to_der, cipher, OpenSSL::PKCS7::BINARY)
File.binwrite("bag.der", bag.to_der)
reply = OpenSSL::PKCS7.sign(ca, key, sealed.to_der, [], OpenSSL::PKCS7::BINARY)
File.binwrite("reply.der", reply.to_der)
"""


def ruby(script: str, folder: Path) -> str:
    """Run *script* in *folder* with OpenSSL at hand, and return what it printed."""
    command = ["ruby", "-W0", "-ropenssl", "-e", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def desk(world: World, device: Device, tmp_path: Path) -> Path:
    """A folder with the keys and certificates of both sides, for a Ruby script."""
    peers.require(peers.RUBY)
    (tmp_path / "ca.der").write_bytes(world.ca.der)
    (tmp_path / "ca.key").write_bytes(encode_private_key(world.key))
    (tmp_path / "device.key").write_bytes(
        device.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    (tmp_path / "device.der").write_bytes(device.certificate().der)
    (tmp_path / "csr.der").write_bytes(device.csr())
    return tmp_path


def test_ruby_reads_our_reply(world: World, device: Device, desk: Path) -> None:
    """OpenSSL::PKCS7 shares no code with us: it verifies, decrypts and finds the certificate."""
    reply = world.respond(device.message(world.ca))
    (desk / "reply.der").write_bytes(reply)

    ruby(READ_REPLY, desk)

    expected = certificate_of(device.read(reply, world.ca))
    assert (desk / "issued.der").read_bytes() == expected.der


def test_ruby_reads_our_reply_in_the_sample_s_own_algorithms(world: World, desk: Path) -> None:
    """RFC 8894 2.9: SHA-1 and 3DES, which the sample knew, are mirrored by the default level."""
    device = Device(digest=SHA1, cipher=DES_EDE3_CBC)
    (desk / "device.der").write_bytes(device.certificate().der)
    (desk / "reply.der").write_bytes(world.respond(device.message(world.ca)))

    ruby(READ_REPLY, desk)

    assert Certificate.load((desk / "issued.der").read_bytes()).spki == spki(rsa_key(1))


def test_we_read_what_ruby_writes(world: World, device: Device, desk: Path) -> None:
    """RFC 5652: a message of the sample's own calls verifies and decrypts here."""
    ruby(WRITE_REQUEST, desk)

    signed = pkcs7.SignedData.load((desk / "request.der").read_bytes())
    signer = signed.verify()
    envelope = pkcs7.EnvelopedData.load(signed.data)

    assert signer.der == device.certificate().der
    assert [one.serial_number for one in signed.signers] == [signer.serial_number]
    assert envelope.cipher is DES_EDE3_CBC
    assert envelope.decrypt(world.key, world.ca) == device.csr()


def test_a_request_without_scep_attributes_cannot_be_answered(world: World, desk: Path) -> None:
    """RFC 8894 3.2.1: PKCS7.sign alone makes no pkiMessage, for there is no transactionID in it."""
    ruby(WRITE_REQUEST, desk)

    with pytest.raises(MalformedMessage, match="transactionID"):
        world.respond((desk / "request.der").read_bytes())


def test_the_sample_s_own_reply_is_what_clients_refuse(world: World, device: Device, desk: Path) -> None:
    """RFC 8894 3.3.2: our client refuses it for the reason the guide gives, as iOS does with 22013."""
    (desk / "request.der").write_bytes(device.message(world.ca))

    ruby(SAMPLE, desk)

    expected = codec.Expectation(Transaction("t1", NONCE), (world.ca,), spki(device.key))
    with pytest.raises(InvalidReply, match="messageType"):
        codec.decode_cert_rep(
            (desk / "reply.der").read_bytes(), expected, device.certificate(), device.key, Deviations()
        )


def test_ruby_on_openssl_3_does_not_write_the_sample_s_bag(desk: Path) -> None:
    """The guide warns of the first thing that a port meets: ``to_der`` raises."""
    bag = 'bag = OpenSSL::PKCS7.new; bag.type = "signed"; bag.certificates = [ca]; '
    rescued = "begin; bag.to_der; rescue OpenSSL::PKCS7::PKCS7Error => error; puts error.message; end"
    ca = 'ca = OpenSSL::X509::Certificate.new(File.binread("ca.der")); '

    said = ruby(f"{ca}{bag}puts OpenSSL::OPENSSL_LIBRARY_VERSION; {rescued}", desk)

    assert "illegal zero content" in said or not said.startswith("OpenSSL 3")
    assert "illegal zero content" in GUIDE


def test_ruby_s_degenerate_bag_is_read(world: World, device: Device, desk: Path) -> None:
    """RFC 8894 3.4: certs-only, written by the other side, gives its certificate."""
    (desk / "request.der").write_bytes(device.message(world.ca))

    ruby(SAMPLE, desk)

    bag = pkcs7.SignedData.load((desk / "bag.der").read_bytes())
    assert [one.spki for one in bag.certificates] == [spki(device.key)]
