"""The one error that imaging raises for a file it will not take."""


class Refusal(ValueError):
    """A file that cannot be accepted, with the reason in a technician's words.

    `code` is stable and meant for programs and tests; `message` is shown as it is. Neither ever
    repeats a value of the file, so both may be logged.

    Codes: empty, not_dicom, truncated, not_ct, no_pixels, unsupported_transfer_syntax,
    missing_uid, malformed_uid, too_large, bad_pixels, bad_rescale, bad_geometry, multiframe,
    damaged, too_busy.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
