"""What another library says, in one line."""

import pytest

from blindsr.runtime.errors import one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("size mismatch", "size mismatch"),
        ("Error(s) in loading:\n\n  unexpected key a\n", "unexpected key a"),
        ("", "ValueError"),
        ("x" * 999, "x" * 160),
    ],
)
def test_the_last_line_says_it(text: str, line: str) -> None:
    assert one_line(ValueError(text)) == line
