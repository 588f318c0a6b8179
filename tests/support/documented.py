"""What docs/errors/README.md says that a node says when it does not start."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors" / "README.md"
SECTION = "## A node that does not start"
STOPPED = "storage stopped after a failed write"
WORD = re.compile(r"\b[A-Z]{1,}\b")


def table():
    """The messages of the table, each with its exit code."""
    section = PAGE.read_text().split(SECTION)[1].split("\n## ")[0]
    rows = [row.split("|")[1:3] for row in section.splitlines() if row.startswith("| `")]
    return {message: int(code) for messages, code in rows for message in re.findall(r"`([^`]+)`", messages)}


def check_told(message, code, said):
    """`said` has a line of the documented message, in capitals what differs from case to case, and the exit code is its."""
    assert message in table(), f"{PAGE} does not have {message!r}"
    assert code == table()[message], said
    pattern = WORD.sub(r"\\S+", re.escape(message))
    assert re.search(rf"^error: (.+: )?{pattern}", said, re.MULTILINE), f"{pattern} is not said: {said}"
    check_orderly(said)


def check_stopped(said):
    """`said` is of a node that stopped because it could not write."""
    assert STOPPED in PAGE.read_text()
    assert re.search(rf"^error: .*{STOPPED}", said, re.MULTILINE), said
    check_orderly(said)


def check_orderly(said):
    """It ends with what to do next, which is more than to look for oneself."""
    assert re.search(r"^ next: (?!look at the log).+\n\Z", said, re.MULTILINE), said
    assert not re.search("panicked|stack backtrace", said), said
