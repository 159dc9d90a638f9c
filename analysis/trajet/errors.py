"""The one kind of error that is the user's to mend."""


class UserError(Exception):
    """A mistake in what the user gave us: bad source, missing file, unwritable folder.

    The text is one line: what is wrong, where, and how to mend it. Commands print it
    and leave with exit code 2; a defect of ours is any other exception and keeps its
    traceback.
    """
