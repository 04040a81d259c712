"""Any bytes and any bent message: a value or a refusal, soon, and nothing else."""

import time
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ca.asn1 import writer
from tests.fuzz.corpus import corpus
from tests.fuzz.targets import TARGETS, seeds

# To count what they pass over would take longer than the tests themselves; others hold it.
pytestmark = pytest.mark.no_cover

# Each example must be done within this time, also on a busy machine.
SOON = timedelta(seconds=10)
briefly = settings(
    max_examples=40, deadline=SOON, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@st.composite
def bent(draw: st.DrawFn, target: str) -> bytes:
    """A valid input with a few octets changed, taken out, put in or repeated."""
    data = bytearray(draw(st.sampled_from(seeds(target))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(("change", "cut", "insert", "repeat", "end"))):
            case "change" if at < len(data):
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at : at + draw(st.integers(1, 40))]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "repeat":
                data[at:at] = data[at : at + draw(st.integers(1, 200))]
            case "end":
                del data[at:]
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS)
def test_any_bytes_give_a_value_or_a_refusal(target: str) -> None:
    """RFC 8894 7: whoever reaches the port may send what he likes."""

    @briefly
    @given(st.binary(max_size=400))
    def check(data: bytes) -> None:
        TARGETS[target](data)

    check()


@pytest.mark.parametrize("target", TARGETS)
def test_bent_messages_give_a_value_or_a_refusal(target: str) -> None:
    """What is nearly right goes deepest."""

    @briefly
    @given(bent(target))
    def check(data: bytes) -> None:
        TARGETS[target](data)

    check()


@pytest.mark.parametrize("target", TARGETS)
def test_a_flipped_bit_gives_a_value_or_a_refusal(target: str) -> None:
    """The structure stays whole, so that every check behind the parser has its turn."""
    for seed in seeds(target):
        for at in range(0, len(seed), max(1, len(seed) // 60)):
            TARGETS[target](seed[:at] + bytes((seed[at] ^ 1 << at % 8,)) + seed[at + 1 :])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30\x80" * 50_000,
        b"\x30\x84\xff\xff\xff\xff",
        b"\xa0\x80" * 60 + b"\x00\x00" * 60,
        b"\x24\x80" * 100_000,
        b"\x06\x82\xff\xff" + b"\x81" * 65_535,
        b"\x02\x83\x03\xff\xff" + b"\x7f" * 262_143,
        writer.sequence(*[writer.NULL] * 100_000),
        writer.sequence(writer.oid("1.2.840.113549.1.7.2"), writer.explicit(0, b"\x30\x00" * 60_000)),
    ],
    ids=[
        "empty",
        "nested",
        "huge length",
        "balanced",
        "pieces",
        "long OID",
        "long INTEGER",
        "wide",
        "bundle",
    ],
)
def test_bombs_are_over_soon(target: str, data: bytes) -> None:
    """256 KiB are let in: they must cost neither minutes nor the stack."""
    started = time.process_time()

    TARGETS[target](data)

    assert time.process_time() - started < SOON.total_seconds()


@pytest.mark.parametrize("target", TARGETS)
def test_the_seeds_are_sound(target: str) -> None:
    """Bending what is broken already would prove little."""
    for seed in seeds(target):
        TARGETS[target](seed)


@pytest.mark.parametrize("target", TARGETS)
def test_what_longer_runs_found_gives_a_value_or_a_refusal(target: str) -> None:
    """Each of these took a branch that no other input took; together they are most of what there is."""
    found = corpus(target)

    assert found
    for data in found:
        TARGETS[target](data)
