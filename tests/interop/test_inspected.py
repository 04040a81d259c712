"""The comparison of ``inspect`` with Ruby itself: it would notice any field that was told wrong."""

import copy
from collections.abc import Iterator
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.cli.inspect import node_json
from app.diagnosis.inspection import inspect
from app.diagnosis.opener import Opener
from ca.algorithms.keys import PrivateKey
from tests.world import NOW, SECRET, Device, World

from .ruby_witness import Facts, ask_ruby, differences, facts_of

# What a place holds is told at the places inside, and these values say only how much there is of it.
NOT_HELD = {
    *("pkiMessage", "CertRep", "certificates", "certificate", "signerInfos", "signerInfo", "signedAttrs"),
    *("recipientInfos", "opened", "CSR", "attributes"),
}


def _pem(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def _cases() -> list[tuple[Facts, Facts]]:
    """A request and its reply, as ``inspect --json`` has them, with what Ruby says."""
    world, device = World(), Device()
    names = x509.SubjectAlternativeName([x509.DNSName("ipad-17.example"), x509.RFC822Name("a@b.example")])
    usage = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
    request = device.message(world.ca, device.csr(SECRET, names, usage))
    messages = [(request, world.key), (world.respond(request), device.key)]
    facts = ask_ruby([(message, _pem(key)) for message, key in messages])
    shown = [inspect(message, Opener(NOW, key)) for message, key in messages]
    return [(node_json(top.children[0], as_hex=False), one) for top, one in zip(shown, facts, strict=True)]


def _nodes(tree: Facts) -> Iterator[Facts]:
    yield tree
    for part in tree.get("parts", []):
        yield from _nodes(part)


def _differs(tree: Facts, facts: Facts) -> bool:
    try:
        return differences(facts_of(tree), facts) != []
    except (ValueError, LookupError):
        # What should be there is not, or should be a number and is none.
        return True


@pytest.mark.parametrize("number", [0, 1], ids=["request", "reply"])
def test_any_field_told_wrong_would_be_noticed(number: int) -> None:
    """A comparison that leaves something out says nothing of it: each value is changed in turn."""
    tree, facts = _cases()[number]
    assert not _differs(tree, facts)

    unnoticed = set()
    for at, node in enumerate(_nodes(tree)):
        if node["name"] in NOT_HELD:
            continue
        told = node["value"]
        for wrong in {f"1{told}", told.replace(" octets", "1 octets")} - {told}:
            changed = copy.deepcopy(tree)
            list(_nodes(changed))[at]["value"] = wrong
            if not _differs(changed, facts):
                unnoticed.add(f"{node['name']}: {told}")
    assert unnoticed == set()


def test_anything_missing_would_be_noticed() -> None:
    """And each certificate, signer, attribute, recipient and extension is there."""
    for tree, facts in _cases():
        for at, node in enumerate(_nodes(tree)):
            for number in range(len(node.get("parts", []))):
                changed = copy.deepcopy(tree)
                list(_nodes(changed))[at]["parts"].pop(number)
                assert _differs(changed, facts), node["parts"][number]["name"]
