import pytest
from pydicom import Dataset, dcmread

from apps.imaging.reading import Refusal
from apps.imaging.tags import Attribute, list_attributes


def row_of(rows: list[Attribute], keyword: str) -> Attribute:
    return next(row for row in rows if row.keyword == keyword)


def test_attributes_are_shown_with_tag_name_vr_and_value(ct_path):
    row = row_of(list_attributes(ct_path), "PatientName")
    assert row == Attribute(0, "(0010,0010)", "PatientName", "Patient's Name", "PN", "PHANTOM^Ada")


def test_file_meta_information_comes_first(ct_path):
    rows = list_attributes(ct_path)
    assert rows[0].tag == "(0002,0000)"
    assert row_of(rows, "TransferSyntaxUID").value == "1.2.840.10008.1.2.1"


def test_binary_values_are_shown_as_their_size(ct_path):
    assert row_of(list_attributes(ct_path), "PixelData").value == "8192 bytes"


def test_several_values_are_joined(ct_path):
    assert row_of(list_attributes(ct_path), "ImageType").value == "DERIVED, PRIMARY, AXIAL"


def test_long_values_are_shortened(edited):
    shown = row_of(list_attributes(edited(ImageComments="x" * 2000)), "ImageComments").value
    assert len(shown) == 256
    assert shown.endswith("…")


def test_sequences_are_nested_with_numbered_items(edited):
    inner, outer = Dataset(), Dataset()
    inner.CodeMeaning = "inside"
    outer.ScheduledProtocolCodeSequence = [inner]
    rows = list_attributes(edited(RequestAttributesSequence=[outer, Dataset()]))
    start = rows.index(row_of(rows, "RequestAttributesSequence"))
    seen = [(row.depth, row.keyword or row.name, row.value) for row in rows[start : start + 6]]
    assert seen == [
        (0, "RequestAttributesSequence", "2 items"),
        (1, "Item 1", ""),
        (2, "ScheduledProtocolCodeSequence", "1 item"),
        (3, "Item 1", ""),
        (4, "CodeMeaning", "inside"),
        (1, "Item 2", ""),
    ]


def test_private_attributes_name_their_creator(ct_path):
    dataset = dcmread(ct_path)
    dataset.private_block(0x0011, "ACME 1.0", create=True).add_new(0x01, "LO", "secret sauce")
    dataset.save_as(ct_path)
    row = next(row for row in list_attributes(ct_path) if row.tag == "(0011,1001)")
    assert (row.private_creator, row.value, row.name) == (
        "ACME 1.0",
        "secret sauce",
        "Private tag data",
    )


def test_one_odd_value_does_not_hide_the_others(ct_path):
    data = ct_path.read_bytes()
    place = data.rindex(b"\xe0\x7f\x10\x00OW")
    odd = b"\x28\x00\x06\x01US\x03\x00abc" + b"\x28\x00\x07\x01DS\x06\x001x3y5z"
    ct_path.write_bytes(data[:place] + odd + data[place:])
    rows = list_attributes(ct_path)
    assert row_of(rows, "SmallestImagePixelValue").value == "not readable"
    assert row_of(rows, "PatientID").value == "PHANTOM-1"


def test_what_is_no_dicom_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not an image")
    with pytest.raises(Refusal):
        list_attributes(path)
