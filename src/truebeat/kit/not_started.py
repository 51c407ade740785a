"""Why a case could not be played."""


class NotStarted(Exception):
    """The workspace or its fault did not come about; the text says why. It says nothing about detection."""
