"""What a certificate of ours vouches for when it is renewed, or granted once more by another CA of ours."""

from ca.issuing.sid import find_sids
from ca.ports import StoredCertificate
from ca.profiles import Grants, Profile, Source
from ca.x509.certificate import Certificate
from ca.x509.general_names import is_sid_uri
from ca.x509.request import CertificationRequest


def renewal_grants(csr: CertificationRequest, renewed: StoredCertificate, profile: Profile) -> Grants:
    """What *renewed* vouches for in a renewal under *profile*.

    Where its names came from somebody else than the device, the device cannot ask for them, and gets them
    all the same; where they came from the device, it has to ask for them, and no others.
    """
    settled = settled_grants(renewed)
    if not profile.renewal_same_names:
        return Grants(sid=settled.sid)
    others_say = bool(profile.validator) or Source.REQUEST not in (profile.subject.source, profile.san.source)
    if others_say:
        return settled
    asks_for_it = Certificate.load(renewed.der).subject.matches(csr.subject)
    return Grants(settled.subject if asks_for_it else None, sid=settled.sid, settled=True)


def settled_grants(stored: StoredCertificate) -> Grants:
    """All names of a certificate that was issued."""
    certificate = Certificate.load(stored.der)
    names = certificate.subject_alt_names
    sids = find_sids(certificate.extensions, names)
    return Grants(
        str(certificate.subject),
        tuple(str(name) for name in names if not is_sid_uri(name)),
        next(iter(sids), ""),
        settled=True,
    )
