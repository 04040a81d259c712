"""Everything about the server that a fault may change. As it stands here, all is right."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

CAPABILITIES = (
    *("AES", "DES3", "POSTPKIOperation", "Renewal", "SHA-1"),
    *("SHA-256", "SHA-384", "SHA-512", "SCEPStandard"),
)
# The name of a signed attribute and its value, a type of asn1crypto, in the order of writing.
Attributes = list[tuple[str, Any]]


def lines(*words: str) -> bytes:
    """A capability list as it goes over the line."""
    return "".join(f"{word}\n" for word in words).encode()


def unaltered(attributes: Attributes) -> Attributes:
    """The attributes of a reply as they should be."""
    return attributes


def leaf_alone(leaf: bytes, _: bytes) -> list[bytes]:
    """What goes into the envelope of a SUCCESS, both in DER: the issued certificate, not the CA's."""
    return [leaf]


@dataclass(frozen=True, slots=True)
class CaForm:
    """The CA's certificate; its days are counted from now.

    *key* names one of the keys of ``material``; *usage* and *purposes* are names of RFC 5280.
    """

    key: str = "ca"
    usage: frozenset[str] = frozenset(
        {"digital_signature", "key_encipherment", "key_cert_sign", "crl_sign"},
    )
    purposes: tuple[str, ...] = ()
    days: tuple[int, int] = (-30, 3650)
    is_ca: bool = True
    pss: bool = False


@dataclass(frozen=True, slots=True)
class Conduct:
    """How the server behaves. A fault is one that differs from the default in one point."""

    # GetCACaps.
    capabilities: bytes = lines(*CAPABILITIES)
    capabilities_type: str = "text/plain"
    # GetCACert. The form is "der", "pem", "base64", "bundle" (with a registration authority where there is
    # one) or "html"; a type of None is the one that belongs to the form.
    ca: CaForm = field(default_factory=CaForm)
    ca_form: str = "der"
    ca_type: str | None = None
    # The purposes of a registration authority's certificate; None: there is none, the CA does it all.
    ra_purposes: tuple[str, ...] | None = None
    # Which keys open envelopes and sign replies, where they are not those of the certificate that is served.
    opening_key: str = ""
    signing_key: str = ""
    # HTTP. It fails at, and dies of, what is named: "operation", "nothing" (an empty message), "recipient"
    # (somebody else's message) and "message type".
    fails_at: frozenset[str] = frozenset()
    dies_of: frozenset[str] = frozenset()
    over_tls: bool = False
    # Of whoever comes by TLS a certificate is wanted: in the "handshake", in an "old handshake" (TLS 1.2), or
    # by a "page" behind it.
    wants_certificate: str = ""
    is_there: bool = True
    chunked: bool = False
    redirect: str = ""
    restores_plus: bool = True
    reads_chunks: bool = True
    reads_bodies: bool = True
    longest_target: int = 65536
    longest_body: int = 256 * 1024
    # What has to stand in the query, as name=value.
    token: str = ""
    knows_suffixes: bool = True
    knows_slash: bool = True
    knows_identifiers: bool = True
    knows_http_1_0: bool = True
    knows_hostless: bool = True
    takes_head: bool = True
    takes_expect: bool = True
    takes_any_case: bool = True
    takes_get: bool = True
    takes_post: bool = True
    takes_line_breaks: bool = True
    insists_on_media_type: bool = False
    says_length: bool = True
    # Behind an answer on a connection that is kept: octets that belong to none, or nothing any more.
    leaves: bytes = b""
    forgets: bool = False
    breaks_off: bool = False
    cache_control: str = "no-store"
    reply_type: str = "application/x-pki-message"
    refuses_by_http: bool = False
    # A reply as a whole: "der" is right; the others are "base64", "half" and "nothing".
    reply_form: str = "der"
    # The signature of a reply.
    attributes: Callable[[Attributes], Attributes] = unaltered
    signs_attributes: bool = True
    sorts: bool = True
    signs_sorted: bool = True
    signed_tag: int = 0x31
    digest: str = ""
    digest_is_signature: bool = False
    signature: str = "rsassa_pkcs1v15"
    signers: int = 1
    embeds_signer: bool = True
    content_type: str = "data"
    digests_content: bool = True
    signer_info_version: int = 1
    writes_null: bool = True
    indefinite: bool = False
    trailer: bytes = b""
    # The envelope of a reply: "signer" is right; the others are "subject", "serial" and "leaf".
    recipient: str = "signer"
    seals_for_signer: bool = True
    by_password: bool = False
    oaep: bool = False
    cipher: str = ""
    sealed_type: str = "data"
    seals: bool = True
    certificates: Callable[[bytes, bytes], list[bytes]] = leaf_alone
    # What a FAILURE has for content: None is absent.
    refusal_content: bytes | None = b""
    # Decisions. Unchecked may be "challenge", "CSR signature" and "renewal signer"; unread "ber", "oaep",
    # "des", "nonces" and "challenge strings".
    unchecked: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()
    certifies_own_key: bool = False
    renames: bool = False
    leaf_is_ca: bool = False
    leaf_days: tuple[int, int] = (0, 365)
    # The name of the key that signs what is issued, where it is not the CA's.
    leaf_key: str = ""
    copies_extensions: bool = False
    serials: str = "random"
    renews: bool = True
    remembers: bool = True
    finds_by_transaction_alone: bool = False
    answers_queries: bool = True
    answers_polls: bool = True
    is_oracle: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to be wrong.

    *finding* is its id in the body of knowledge, *clients* are those that it hurts, *says* is one line
    in words. *beside* are findings that are true too wherever it is. *shows* names the answers whose bytes
    show it: "GetCACaps", "GetCACert", "SUCCESS", "FAILURE"; where there are none, only what the server
    does to the one request and not to the other tells. What is *hidden* shows to nobody who asks for no
    certificate.
    """

    name: str
    finding: str
    clients: tuple[str, ...]
    says: str
    conduct: Conduct
    shows: str = ""
    beside: frozenset[str] = frozenset()
    hidden: bool = False


FAULTLESS = Conduct()
Catalogue = Mapping[str, Fault]
