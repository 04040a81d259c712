"""All faults by name, in the order of the road."""

from types import MappingProxyType

from tests.faults.answers import CA_FAULTS, CAPABILITY_FAULTS, HTTP_FAULTS
from tests.faults.conduct import Catalogue
from tests.faults.decisions import CHECK_FAULTS, ISSUING_FAULTS, READING_FAULTS
from tests.faults.replies import ATTRIBUTE_FAULTS, ENVELOPE_FAULTS, SIGNATURE_FAULTS

_GROUPS = (
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
FAULTS: Catalogue = MappingProxyType({fault.name: fault for group in _GROUPS for fault in group})
