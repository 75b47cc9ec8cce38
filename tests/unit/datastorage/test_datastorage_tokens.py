"""The token file: its form, what it never shows, and what happens when it changes."""

import logging
import os
from pathlib import Path

import pytest

from signal_gateway.datastorage.tokens import ScopedTokens
from signal_gateway.errors import ConfigurationError
from signal_gateway.web.token_file import MIN_TOKEN_LENGTH

READER = "r" * 40
WRITER = "w" * 40
OPERATOR = "AZaz09-._~+/" * 3 + "=="
OTHER = "x" * 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    write(path, f"read {READER}\n")
    return path


def write(path: Path, text: str | bytes) -> None:
    """Put a new file in the place of the old one, as editors and Kubernetes do."""
    new = path.with_name("new")
    new.write_bytes(text.encode() if isinstance(text, str) else text)
    new.chmod(0o600)
    new.replace(path)


def test_file_says_who_may_do_what(path: Path) -> None:
    write(
        path,
        f"# made for a test\n\n  \nread {READER}\n\twrite\t{WRITER}\tthe gateway of the north\n  # and one more\n"
        f"write,read {OPERATOR} operators",
    )

    tokens = ScopedTokens(path)

    assert tokens.scopes_of(READER.encode()) == {"read"}
    assert tokens.scopes_of(WRITER.encode()) == {"write"}
    assert tokens.scopes_of(OPERATOR.encode()) == {"read", "write"}


@pytest.mark.parametrize("token", [b"", READER[:-1].encode(), f"{READER} ".encode(), READER.upper().encode(), b"\xff"])
def test_what_is_not_in_the_file_is_good_for_nothing(path: Path, token: bytes) -> None:
    assert ScopedTokens(path).scopes_of(token) == frozenset()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (f"admin {OTHER}", "read, write or read,write"),
        (f"read,admin {OTHER}", "read, write or read,write"),
        (f"read,read {OTHER}", "read, write or read,write"),
        (f"read, write {OTHER}", "read, write or read,write"),
        (f"{OTHER} read", "read, write or read,write"),
        (OTHER, "must be SCOPES TOKEN"),
        (f"read {'y' * (MIN_TOKEN_LENGTH - 1)}", "shorter than 16 characters"),
        (f"read {OTHER}\x07", "has a character"),
        (f"read {OTHER}é", "has a character"),
        (f'read "{OTHER}"', "has a character"),
        (f"read {OTHER}=x", "has a character"),
        (f"write {READER}", "is that of line 1"),
    ],
)
def test_bad_line_is_an_error_that_names_it_and_shows_no_token(path: Path, line: str, complaint: str) -> None:
    write(path, f"read {READER}\n\n{line}\n")

    with pytest.raises(ConfigurationError, match=complaint) as caught:
        ScopedTokens(path)

    assert f"{path}, line 3" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in (OTHER, READER, "yyy"))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "has no token"),
        (b"# only words\n", "has no token"),
        (b"read \xff" + OTHER.encode(), "is not UTF-8"),
        (b"#" * 2_000_000, "has more than 1048576 bytes"),
    ],
)
def test_file_of_another_kind_is_an_error(path: Path, content: bytes, complaint: str) -> None:
    write(path, content)

    with pytest.raises(ConfigurationError, match=complaint):
        ScopedTokens(path)


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_file_that_cannot_be_read_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        ScopedTokens(tmp_path / name)


def test_changed_file_is_read_again(path: Path) -> None:
    tokens = ScopedTokens(path)

    write(path, f"read {OTHER}\n")

    assert tokens.scopes_of(OTHER.encode()) == {"read"}
    assert tokens.scopes_of(READER.encode()) == frozenset()


def test_file_changed_in_place_is_read_again(path: Path) -> None:
    tokens = ScopedTokens(path)

    with path.open("a") as file:
        file.write(f"write {WRITER}\n")

    assert tokens.scopes_of(WRITER.encode()) == {"write"}


def test_swapped_symbolic_link_is_followed(tmp_path: Path) -> None:
    # as Kubernetes mounts a Secret: tokens -> ..data/tokens, ..data -> ..first, and ..data is swapped
    for directory, token in (("..first", READER), ("..second", WRITER)):
        (tmp_path / directory).mkdir()
        write(tmp_path / directory / "tokens", f"read {token}\n")
        os.utime(tmp_path / directory / "tokens", (1, 1))
    (tmp_path / "..data").symlink_to("..first")
    (tmp_path / "tokens").symlink_to("..data/tokens")
    tokens = ScopedTokens(tmp_path / "tokens")

    (tmp_path / "..new").symlink_to("..second")
    (tmp_path / "..new").replace(tmp_path / "..data")

    assert tokens.scopes_of(WRITER.encode()) == {"read"}
    assert tokens.scopes_of(READER.encode()) == frozenset()


@pytest.mark.parametrize("content", ["", f"admin {OTHER}\n", f"read {OTHER}\nread {OTHER}\n"])
def test_broken_change_keeps_the_last_good_tokens_and_is_logged_once(
    path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = ScopedTokens(path)

    write(path, content)

    for _ in range(3):
        assert tokens.scopes_of(READER.encode()) == {"read"}
        assert tokens.scopes_of(OTHER.encode()) == frozenset()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert OTHER not in caplog.text
    write(path, f"read {OTHER}\n")
    assert tokens.scopes_of(OTHER.encode()) == {"read"}


def test_removed_file_keeps_the_last_good_tokens(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokens = ScopedTokens(path)

    path.unlink()

    for _ in range(2):
        assert tokens.scopes_of(READER.encode()) == {"read"}
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize(("mode", "warnings"), [(0o600, 0), (0o640, 0), (0o644, 1)])
def test_file_that_everybody_can_read_is_warned_of(
    path: Path, mode: int, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    path.chmod(mode)

    ScopedTokens(path)

    assert [record.levelno for record in caplog.records] == [logging.WARNING] * warnings
    assert READER not in caplog.text


def test_token_file_of_the_reference_is_valid_and_has_each_scope(path: Path) -> None:
    reference = Path(__file__).parents[3] / "docs" / "reference.md"
    _, _, after = reference.read_text(encoding="utf-8").partition("### Tokens of DataStorage")
    example = after.split("```\n")[1]
    write(path, example)

    tokens = ScopedTokens(path)

    lines = [line.split() for line in example.splitlines() if not line.startswith("#")]
    assert [tokens.scopes_of(line[1].encode()) for line in lines] == [{"read"}, {"write"}, {"read", "write"}]
