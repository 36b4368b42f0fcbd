"""The one exception a user is meant to see."""


class UserError(Exception):
    """Something the user can mend: its message is one line that says what is wrong and what to do.

    The command line prints the message without a traceback and exits with status 2.
    """
