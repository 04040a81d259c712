"""Between bytes and messages, in both directions: the server's side and the client's.

Nothing else in the program calls ``ca.pkcs7``.
"""

from ca.pkcs7 import SignedData
from ca.pkcs7.form import Form, rewrite
from ca.scep.codec.cert_rep import encode_cert_rep
from ca.scep.codec.client import Expectation, decode_cert_rep, decode_crl_rep, encode_request
from ca.scep.codec.dissection import envelope_cipher, open_envelope
from ca.scep.codec.distribution import (
    NEXT_CERTIFICATES,
    PKI_MESSAGE,
    ca_certificates_type,
    decode_ca_certificates,
    encode_ca_certificates,
    encode_ca_chain,
    encode_next_ca_certificates,
)
from ca.scep.codec.pki_message import claimed_message_type, decode_pki_message, decode_transaction, load
from ca.scep.codec.queries import encode_issuer_and_serial_number
from ca.scep.codec.rekeying import ReadMessage
from ca.scep.codec.requests import decode_request, find_addressee

__all__ = [
    "NEXT_CERTIFICATES",
    "PKI_MESSAGE",
    "Expectation",
    "Form",
    "ReadMessage",
    "SignedData",
    "ca_certificates_type",
    "claimed_message_type",
    "decode_ca_certificates",
    "decode_cert_rep",
    "decode_crl_rep",
    "decode_pki_message",
    "decode_request",
    "decode_transaction",
    "encode_ca_certificates",
    "encode_ca_chain",
    "encode_cert_rep",
    "encode_issuer_and_serial_number",
    "encode_next_ca_certificates",
    "encode_request",
    "envelope_cipher",
    "find_addressee",
    "load",
    "open_envelope",
    "rewrite",
]
