"""The exceptions a user is meant to see."""


class UserError(Exception):
    """Something the user can fix: its message is one line that says what is wrong and what to do.

    The command line prints the message without a traceback and exits with `status`.
    """

    status = 2


class Interrupted(UserError):
    """Work that a signal stopped, with its state saved: the same command resumes from there."""

    def __init__(self, message: str, signal: int) -> None:
        """`signal` is its number; the exit status is the shell's 128 + signal, so DVC does not take it as done."""
        super().__init__(message)
        self.status = 128 + signal


def one_line(error: BaseException) -> str:
    """Say what is wrong in one line, for the message of a UserError.

    Args:
        error: Another library's.

    Returns:
        The last line of its message, at most 160 characters of it; the error's type where it has no message.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:160] if lines else type(error).__name__
