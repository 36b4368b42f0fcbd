"""The one exception a user is meant to see."""


class UserError(Exception):
    """Something the user can mend: its message is one line that says what is wrong and what to do.

    The command line prints the message without a traceback and exits with status 2.
    """


def one_line(error: BaseException) -> str:
    """What is wrong, for the message of a UserError: the last line of another library's error, where it says so."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:160] if lines else type(error).__name__
