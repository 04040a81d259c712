"""``explain``: whatever form a code has, and whatever stands around a message, it is found."""

import json

import pytest

from app.diagnosis.explain import explain
from app.diagnosis.knowledge import knowledge
from tests.command_line import did, run

KNOWN = knowledge()
CODES = {
    **{str(code): f"ios-{code}" for code in (*range(22000, 22010), *range(22011, 22014))},
    "22010": "ios-22009",
    "-67731": "macos-67731",
    "-603": "macos-603",
    "-50": "macos-50",
    "15002": "macos-15002",
    "0x8010002c": "windows-8010002c",
    "0x80072f78": "windows-80072f78",
    "0x80072f8f": "windows-80072f8f",
    "0x800700CE": "windows-800700ce",
    "0x80190194": "windows-80190194",
    "E_ENCRYPT_ALG_NOT_SUPPORTED": "cisco-encrypt-alg",
    "0x762": "cisco-encrypt-alg",
}
LINES = {
    "Sep  1 10:42:07 profiled[88] <Notice>: The SCEP server returned an invalid response.": "ios-22013",
    "ERROR: Couldn’t create certificate signing request (MCSCEPErrorDomain)": "ios-22011",
    "sscep: wrong (or missing) MIME content type": "sscep-mime",
    "sscep: cannot find recipientNonce": "sscep-attribute",
    "sscep: illegal size of payload": "sscep-payload-size",
    "invalid response": "ios-22013",
    "sscep: error verifying signature": "sscep-verify",
    "00[APP] AES_CBC encryption algorithm not supported by CA": "strongswan-caps",
    "did not receive a valid SCEP response: HTTP 404": "strongswan-http",
    "transaction ID of scep response does not match": "strongswan-reply",
    "ca-error: failed to verify signature: error:10800080:PKCS7 routines::no content": "certmonger-content",
    "status: CA_REJECTED": "certmonger-rejected",
    "PKCSReq request failed, failInfo: badRequest (2)": "scepclient-failure",
    "Enrolment failed <NSOSStatusErrorDomain:-603>": "macos-603",
    "SCEP: enroll failed. Result: (Unknown Win32 Error code: 0x8010002c).": "windows-8010002c",
    "CRYPTO_PKI: E_ENCRYPT_ALG_NOT_SUPPORTED : algorithm is not supported": "cisco-encrypt-alg",
    "cannot decrypt data: only RSA, DES, DES-EDE3, AES-256-CBC and AES-128-GCM supported": "go-only-rsa-des",
}


@pytest.mark.parametrize(("text", "symptom"), CODES.items())
def test_each_code_is_known(text: str, symptom: str) -> None:
    """These are the ones that people search the web for."""
    assert explain(text, KNOWN).symptoms[0].id == symptom


@pytest.mark.parametrize(
    "text", ["0x8010002c", "0X8010002C", "8010002C", "-2146435028", "2148532268", " 8010002c\n"]
)
def test_a_code_is_known_in_every_form(text: str) -> None:
    """One log has it signed, another unsigned, a third in hexadecimal."""
    assert explain(text, KNOWN).symptoms[0].id == "windows-8010002c"


@pytest.mark.parametrize("text", ["-22013", "error 22013", "(22013)", "MCSCEPErrorDomain, 22013", "22013."])
def test_a_sign_or_words_around_a_code_do_not_hide_it(text: str) -> None:
    """Porters write -22013, and logs put a domain in front."""
    assert explain(text, KNOWN).symptoms[0].id == "ios-22013"


@pytest.mark.parametrize(("text", "symptom"), LINES.items())
def test_a_whole_line_of_a_log_finds_its_message(text: str, symptom: str) -> None:
    """Nobody cuts the time and the process off before he pastes."""
    assert explain(text, KNOWN).symptoms[0].id == symptom


@pytest.mark.parametrize(
    "text", ["", "50", "22013ff", "10.220.13.22013", "2026-11-22013", "hello world", "the server"]
)
def test_what_only_resembles_a_code_or_a_text_is_not_taken_for_it(text: str) -> None:
    """A wrong explanation costs more than none. A bare 50 is taken for -50 as 67731 is for -67731."""
    found = [one.id for one in explain(text, KNOWN).symptoms]

    assert found == (["macos-50"] if text == "50" else [])


def test_the_causes_come_in_the_order_to_check() -> None:
    """A refusal is by far the commonest cause of 22013, and the reply shows nothing of it on the device."""
    causes = explain("22013", KNOWN).symptoms[0].causes

    assert causes[:3] == ("refused", "challenge-refused", "http-error")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("22O13", "22013"),
        ("0x8010002d", "0x8010002c"),
        ("E_ENCRIPT_ALG_NOT_SUPORTED", "E_ENCRYPT_ALG_NOT_SUPPORTED"),
        ("mismatchin public key", "mismatching public keys"),
    ],
)
def test_near_misses_are_suggested(text: str, meant: str) -> None:
    """Codes are read off a screen and typed."""
    found = explain(text, KNOWN)

    assert found.symptoms == ()
    assert meant in found.suggestions


def test_the_verb_says_meaning_causes_and_mending() -> None:
    """What a person needs, without a data folder, and a minus sign is no option."""
    told = did("explain", "-67731")

    assert told.startswith('macOS: -67731 (0xfffef76d), "failed to find candidate RA certificates"\n')
    assert "  1. A bundle without a certificate that can be an RA's" in told
    assert "     mend: Without an RA send the one CA certificate" in told


def test_the_verb_gives_machines_the_same() -> None:
    """For a helpdesk's own tools."""
    told = json.loads(did("explain", "--json", "0x80190194"))

    (symptom,) = told["symptoms"]
    assert symptom["client"] == "windows"
    assert symptom["codes"] == [{"decimal": "-2145844844", "hex": "0x80190194"}]
    assert symptom["causes"][0]["id"] == "url-wrong"
    assert symptom["causes"][0]["fix"]


def test_a_log_comes_on_standard_input() -> None:
    """A long line is not typed."""
    assert did("explain", "-", stdin="profiled: error 22006\n").startswith("iOS, iPadOS: 22006")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("22O13", "scepbox: '22O13' is not known; did you mean: 22013?\n"),
        (
            "\x1b[2Jnothing",
            "scepbox: ' [2Jnothing' is not known; give the code alone, or the reply itself to ",
        ),
    ],
)
def test_what_is_not_known_is_said_in_one_line(text: str, said: str) -> None:
    """Exit code 1, a next step, and nothing that moves the terminal's cursor."""
    done = run("explain", text)

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(said)
    assert done.err.count("\n") == 1
