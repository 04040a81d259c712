"""All faults by name, in the order of the road."""

from types import MappingProxyType

from tests.faults.catalogue.attributes import ATTRIBUTE_FAULTS
from tests.faults.catalogue.authorities import CA_FAULTS
from tests.faults.catalogue.capabilities import CAPABILITY_FAULTS
from tests.faults.catalogue.decisions import CHECK_FAULTS, ISSUING_FAULTS, READING_FAULTS
from tests.faults.catalogue.envelopes import ENVELOPE_FAULTS
from tests.faults.catalogue.signatures import SIGNATURE_FAULTS
from tests.faults.catalogue.transport import HTTP_FAULTS
from tests.faults.conduct import Catalogue

GROUPS = (
    CAPABILITY_FAULTS,
    CA_FAULTS,
    HTTP_FAULTS,
    ATTRIBUTE_FAULTS,
    SIGNATURE_FAULTS,
    ENVELOPE_FAULTS,
    CHECK_FAULTS,
    READING_FAULTS,
    ISSUING_FAULTS,
)
FAULTS: Catalogue = MappingProxyType({fault.name: fault for group in GROUPS for fault in group})
