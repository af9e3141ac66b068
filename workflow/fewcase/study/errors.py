"""The one exception that a user's mistake raises: its message says what to mend."""


class InputError(ValueError):
    """A study file, a table or a recording that cannot be used as it is.

    The message names the file, the row or key, the value that was found, what was expected, and
    the remedy. Stage scripts print it without a traceback.
    """
