"""Storage commitment's data sets and statuses (PS3.4 J.3, PS3.7 10.1), against pydicom's."""

import io
from dataclasses import replace

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filewriter import write_dataset

from meshpacs.dimse import commitment
from meshpacs.dimse.commitment import (
    ALL_COMMITTED,
    FAILURES_EXIST,
    Asked,
    Report,
    action_refused,
    action_request,
    event_refused,
    event_request,
    read_asked,
    read_report,
    write_asked,
    write_report,
)
from meshpacs.dimse.elements import Bounds
from meshpacs.dimse.faults import MalformedIdentifier, OversizedIdentifier
from meshpacs.dimse.services import STORAGE_COMMITMENT, Service, service_of
from meshpacs.model.commitment import Reference
from meshpacs.model.limits import COMMITMENT_BYTES, COMMITMENT_INSTANCES

CT = "1.2.840.10008.5.1.4.1.1.2"
ONE, TWO, THREE = (Reference(CT, f"1.2.3.{number}") for number in (1, 2, 3))
ACTION, EVENT = action_request(1), event_request(1, ALL_COMMITTED)


def item(reference: Reference, reason: int | None = None) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID = reference.sop_class
    made.ReferencedSOPInstanceUID = reference.sop_uid
    if reason is not None:
        made.FailureReason = reason
    return made


def asked_of(*references: Reference, uid: str = "1.2.9") -> Dataset:
    made = Dataset()
    made.TransactionUID = uid
    made.ReferencedSOPSequence = [item(reference) for reference in references]
    return made


def raw(made: Dataset, *, explicit: bool = True, undefined: bool = False) -> bytes:
    out = pydicom.filebase.DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, not explicit
    if undefined:
        made["ReferencedSOPSequence"].is_undefined_length = True
        for each in made.ReferencedSOPSequence:
            each.is_undefined_length_sequence_item = True
    write_dataset(out, made)
    return out.getvalue()


def as_pydicom(data: bytes, *, explicit: bool) -> Dataset:
    read = pydicom.filereader.read_dataset(
        io.BytesIO(data), is_implicit_VR=not explicit, is_little_endian=True
    )
    return Dataset(read)


def test_its_sop_class_is_a_service_of_its_own() -> None:
    assert service_of(STORAGE_COMMITMENT) is Service.COMMIT


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("undefined", [True, False])
def test_what_is_asked_is_read_in_its_order_and_each_instance_once(
    *, explicit: bool, undefined: bool
) -> None:
    made = asked_of(TWO, ONE, TWO)
    made.StorageMediaFileSetID = "DISC 7"  # of media that nobody looks at here
    data = raw(made, explicit=explicit, undefined=undefined)
    assert read_asked(data, explicit=explicit) == Asked("1.2.9", (TWO, ONE))


@pytest.mark.parametrize("explicit", [True, False])
def test_what_is_asked_is_written_as_pydicom_reads_it(*, explicit: bool) -> None:
    data = write_asked(Asked("1.2.9", (ONE, TWO)), explicit=explicit)
    assert as_pydicom(data, explicit=explicit) == asked_of(ONE, TWO)
    assert read_asked(data, explicit=explicit) == Asked("1.2.9", (ONE, TWO))


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("TransactionUID", "Transaction UID"),
        ("ReferencedSOPSequence", "Referenced SOP Sequence"),
        ("ReferencedSOPClassUID", "Referenced SOP Class UID"),
        ("ReferencedSOPInstanceUID", "Referenced SOP Instance UID"),
    ],
)
def test_a_request_that_lacks_something_says_what(missing: str, words: str) -> None:
    made = asked_of(ONE)
    del (made if missing in made else made.ReferencedSOPSequence[0])[missing]
    with pytest.raises(MalformedIdentifier, match=words):
        read_asked(raw(made), explicit=True)


def test_an_empty_sequence_a_long_uid_and_bytes_of_nothing_are_no_request() -> None:
    for bad in (raw(asked_of()), raw(asked_of(ONE))[:-3], b"\x08\0\x95\x11UI\4\0a\nb\0"):
        with pytest.raises(MalformedIdentifier):
            read_asked(bad, explicit=True)
    long = write_asked(Asked("1.2." + "3" * 61, (ONE,)), explicit=True)
    with pytest.raises(MalformedIdentifier, match="Transaction UID"):
        read_asked(long, explicit=True)


def test_the_largest_request_fits_and_a_larger_one_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commitment, "BOUNDS", Bounds(COMMITMENT_BYTES, 100, 3))
    assert len(read_asked(raw(asked_of(ONE, TWO, THREE)), explicit=True).references) == 3
    with pytest.raises(OversizedIdentifier, match="3 items"):
        read_asked(raw(asked_of(ONE, TWO, THREE, Reference(CT, "1.4"))), explicit=True)
    with pytest.raises(OversizedIdentifier):
        read_asked(bytes(COMMITMENT_BYTES + 1), explicit=True)


def test_the_longest_uids_of_as_many_instances_as_may_be_fit_into_its_bytes() -> None:
    most, some = COMMITMENT_INSTANCES, 500
    references = tuple(Reference("1.2." + "8" * 60, f"1.2.{number:060d}") for number in range(some))
    asked = write_asked(Asked("1.2.9", references), explicit=False)
    failed = write_report(Report("1.2.9", (), tuple((r, 1) for r in references)), explicit=False)
    assert len(asked) * most // some < len(failed) * most // some <= COMMITMENT_BYTES
    assert read_asked(asked, explicit=False).references == references


@pytest.mark.parametrize("explicit", [True, False])
def test_a_report_has_both_sequences_or_the_one_that_there_is(*, explicit: bool) -> None:
    whole = Report("1.2.9", (ONE, TWO), retrieve_title="MESHPACS")
    partly = Report("1.2.9", (ONE,), ((TWO, 0x0112), (THREE, 0x0119)), "MESHPACS")
    nothing = Report("1.2.9", (), ((ONE, 0x0131),), "MESHPACS")
    assert [each.event_type for each in (whole, partly, nothing)] == [
        ALL_COMMITTED,
        FAILURES_EXIST,
        FAILURES_EXIST,
    ]
    expected = asked_of(ONE)
    expected.RetrieveAETitle = "MESHPACS"
    expected.FailedSOPSequence = [item(TWO, 0x0112), item(THREE, 0x0119)]
    assert as_pydicom(write_report(partly, explicit=explicit), explicit=explicit) == expected
    for report in (whole, partly):
        assert read_report(write_report(report, explicit=explicit), explicit=explicit) == report
    read = read_report(write_report(nothing, explicit=explicit), explicit=explicit)
    assert read == replace(nothing, retrieve_title="")


def test_a_failure_without_a_reason_is_no_report() -> None:
    made = Dataset()
    made.TransactionUID = "1.2.9"
    made.FailedSOPSequence = [item(ONE)]
    with pytest.raises(MalformedIdentifier, match="Failure Reason"):
        read_report(raw(made), explicit=True)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, None),
        ({"requested_sop_class": "1.2.3"}, 0x0118),
        ({"requested_sop_uid": "1.2.3"}, 0x0112),
        ({"action_type": 2}, 0x0123),
        ({"has_data": False}, 0x0114),
    ],
)
def test_an_action_that_is_not_its_own_has_the_standards_status(
    change: dict[str, object], status: int | None
) -> None:
    assert action_refused(replace(ACTION, **change), STORAGE_COMMITMENT) == status  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, None),
        ({"event_type": 2}, None),
        ({"sop_class": "1.2.3"}, 0x0118),
        ({"sop_uid": "1.2.3"}, 0x0112),
        ({"event_type": 3}, 0x0113),
        ({"has_data": False}, 0x0114),
    ],
)
def test_an_event_that_is_not_its_own_has_the_standards_status(
    change: dict[str, object], status: int | None
) -> None:
    assert event_refused(replace(EVENT, **change), STORAGE_COMMITMENT) == status  # type: ignore[arg-type]
