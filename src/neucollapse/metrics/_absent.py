"""Why a metric has no value."""


class Absent(Exception):  # noqa: N818 - a reason, not an error
    """A metric has no value here; the message is the reason a reader gets."""
