"""``doctor`` at the servers of others: what it finds is true of them, and it finds it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.announcing import is_as_announced, requests
from tests.command_line import CLEAN, Done, command, run
from tests.relay import relaying

from . import peers

PORT = 8899
SECRET = "open sesame"
# It listens on every address of the machine, so it runs where there is none but loopback.
NAMESPACE = ("unshare", "--net", "--map-root-user", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
TRUE_OF_SCEPSERVER = {
    "ca-key-usage": "digitalSignature, keyEncipherment is not there",
    "http-error": "CertPoll: HTTP 500",
    "csr-signature-unchecked": "a certificate was issued",
    "plus-lost": "illegal base64 data",
    "ber-not-read": "pkcs7: Message digest mismatch",
    "des-reply": "CertRep.pkcsPKIEnvelope: contentEncryptionAlgorithm DES-CBC",
    "reply-weak-digest": "SHA-1",
    "nonce-echoed": "signedAttrs.senderNonce",
    "signature-algorithm-unusual": "sha1WithRSAEncryption",
    "lost-reply": "it is refused",
    "serial-sequential": "2 and 3",
    "host-demanded": "missing required Host header",
}


def examined(done: Done) -> dict[str, Any]:
    """The findings by id, in their order."""
    assert done.err == ""
    return {one["id"]: one for one in json.loads(done.out)["findings"]}


def in_namespace(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run this module beside scepserver in a network of their own."""
    return subprocess.run(
        [*NAMESPACE, sys.executable, "-m", __name__, str(folder)],
        capture_output=True,
        text=True,
        env=CLEAN,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def namespace() -> None:
    """Skip where there can be none."""
    peers.require(peers.SCEPSERVER)
    able = shutil.which("unshare") and shutil.which("ip")
    if not able or subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        reason = "no network namespace can be made; on Debian: apt-get install util-linux iproute2"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.mark.usefixtures("namespace")
def test_what_is_known_of_scepserver_is_found(tmp_path: Path) -> None:
    """Each was seen by hand before: single DES, SHA-1, the nonce echoed, no proof of possession, ..."""
    done = in_namespace(tmp_path)

    assert done.returncode == 1, done.stderr
    found = examined(Done(done.returncode, done.stdout, done.stderr))
    assert {key: one["why"] for key, one in found.items() if key in TRUE_OF_SCEPSERVER} == {
        key: one["why"] for key, one in found.items() if TRUE_OF_SCEPSERVER.get(key, "\0") in one["why"]
    }
    assert found.keys() >= TRUE_OF_SCEPSERVER.keys()
    assert found["ca-key-usage"]["clients"][:2] == ["macos", "windows"]
    # Those that nobody has seen in another way before would be false.
    assert found.keys() - TRUE_OF_SCEPSERVER.keys() == {
        *("suffix-refused", "http-chunked-reply", "caps-no-sha384", "http-head", "operation-case"),
        *("reply-absent-parameters", "renewal-refused", "slash-refused"),
    }


def test_a_port_of_the_old_sample_lacks_the_attributes_of_scep() -> None:
    """The project's origin: PKCS7.sign adds three attributes, none of them of SCEP, and iOS says 22013."""
    peers.require(peers.NODE_FORGE)
    with forge() as url:
        done = run("doctor", url, "--challenge", "-", "--json", "--as", "ios", stdin="any\n")

    found = examined(done)
    assert next(iter(found)) == "message-type-missing"
    assert "22013" in found["message-type-missing"]["why"]
    assert "it leads to" in found["message-type-missing"]["why"]
    assert {key for key, one in found.items() if one["severity"] == "violation"} == {
        *("message-type-missing", "recipient-not-signer", "http-error")
    }


@contextmanager
def forge() -> Iterator[str]:
    """The server on node-forge; its address."""
    started = ["node", str(peers.FORGE / "server.js")]
    with subprocess.Popen(started, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("ready: ").strip()
        finally:
            process.kill()


def main(folder: Path) -> int:
    """Inside the namespace: start scepserver, examine it, and say what doctor said."""
    depot = str(folder / "depot")
    subprocess.run(
        ["scepserver", "ca", "-init", "-keySize", "2048", "-depot", depot], check=True, capture_output=True
    )
    serve = ["scepserver", "-depot", depot, "-port", str(PORT), "-challenge", SECRET]
    secret = folder / "secret"
    secret.write_text(SECRET)
    url = f"http://127.0.0.1:{PORT}/scep"
    with subprocess.Popen(serve, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            await_server(url)
            with relaying(PORT) as relay:
                done = examine(f"http://127.0.0.1:{relay.port}/scep", secret)
                plan = examine(f"http://127.0.0.1:{relay.port}/scep", secret, "--dry-run").stdout
                if not is_as_announced(json.loads(plan), requests(relay.heard), stops=["as "]):
                    print("not as announced:", *requests(relay.heard), sep="\n", file=sys.stderr)
            sys.stdout.write(done.stdout)
            sys.stderr.write(done.stderr)
            return done.returncode
        finally:
            server.kill()


def examine(url: str, secret: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What doctor says of it."""
    arguments = command("doctor", url, "--challenge", secret, "--json", *options)
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def await_server(url: str) -> None:
    """Wait until it answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            urlopen(f"{url}?operation=GetCACert", timeout=10).close()
            return
        except URLError:
            assert time.monotonic() < deadline, "scepserver does not answer"
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
