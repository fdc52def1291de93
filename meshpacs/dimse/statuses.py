"""DIMSE statuses by name, each with its source; and what kind of status a number is."""

SUCCESS = 0x0000
"""PS3.7 C.1.1."""

CANCELLED = 0xFE00
"""Matching or sub-operations ended by C-CANCEL (PS3.4 tables C.4-1 to C.4-3)."""

PENDING = 0xFF00
"""Matches, or sub-operations, go on (PS3.4 tables C.4-1 to C.4-3)."""

PENDING_IGNORED_KEYS = 0xFF01
"""Matches go on; some optional keys were not matched (PS3.4 table C.4-1)."""

# General failures (PS3.7 annex C)

PROCESSING_FAILURE = 0x0110
NO_SUCH_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
NO_SUCH_ARGUMENT = 0x0114
INVALID_ARGUMENT = 0x0115
NO_SUCH_CLASS = 0x0118
CLASS_INSTANCE_CONFLICT = 0x0119
SOP_CLASS_NOT_SUPPORTED = 0x0122
NO_SUCH_ACTION = 0x0123
UNRECOGNIZED_OPERATION = 0x0211
RESOURCE_LIMITATION = 0x0213

# Failure Reason of storage commitment alone (PS3.4 J.3.3.1.1, PS3.3 C.14.1.1)

DUPLICATE_TRANSACTION = 0x0131
"""The Transaction UID is in use; the other reasons are named as the statuses above."""

# C-STORE (PS3.4 table B.2-1)

STORE_OUT_OF_RESOURCES = 0xA700
STORE_DATA_SET_MISMATCH = 0xA900
"""The data set does not match the SOP class, or the instance that the request names."""
STORE_CANNOT_UNDERSTAND = 0xC000

# C-FIND, C-MOVE, C-GET (PS3.4 tables C.4-1 to C.4-3)

OUT_OF_RESOURCES = 0xA700
CANNOT_COUNT_MATCHES = 0xA701
CANNOT_PERFORM_SUB_OPERATIONS = 0xA702
MOVE_DESTINATION_UNKNOWN = 0xA801
IDENTIFIER_MISMATCH = 0xA900
"""The identifier does not match the SOP class: a missing or wrong unique key or level."""
UNABLE_TO_PROCESS = 0xC001
"""One of C000 to CFFF; told apart so that a caller's log shows what it was."""
INCOMPLETE = 0xC001
"""The same number, for callers that want to be told by a failure that members are missing; the
Error Comment says so."""
SUB_OPERATIONS_WARNING = 0xB000
"""All sub-operations are done, one or more with a failure or warning."""


def is_pending(status: int) -> bool:
    """Whether more responses follow."""
    return status in (PENDING, PENDING_IGNORED_KEYS)


def is_warning(status: int) -> bool:
    """Whether what was asked for is done, but not all as asked (PS3.7 C.1.3, PS3.4 B.2.3)."""
    return status in (0x0001, 0x0107, 0x0116) or status >> 12 == 0xB
