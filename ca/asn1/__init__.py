"""Tag-length-value: reads BER as real devices send it, writes DER. Knows no CMS and no X.509."""

from ca.asn1.reader import Asn1Error, Element, read, split

__all__ = ["Asn1Error", "Element", "read", "split"]
