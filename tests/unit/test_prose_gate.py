"""The prose gate of `make check`: which words it counts, and where."""

import importlib.util
from pathlib import Path

import pytest

PROSE = Path(__file__).parents[2] / ".ci" / "prose.py"


@pytest.fixture(scope="module")
def prose():
    spec = importlib.util.spec_from_file_location("prose", PROSE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path):
    """Write a project of which every text is within the limit, and change some of its files."""

    def write(**texts):
        (tmp_path / "src").mkdir()
        (tmp_path / "docs").mkdir()
        files = {"src/a.py": '"""A module."""\n', "docs/a.md": "# A\n"}
        files |= dict.fromkeys(("CONTRIBUTING.md", "SECURITY.md", "README.md"), "Plain words.\n")
        for name, text in (files | texts).items():
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


def counted(prose, text):
    tally = prose.tally([prose.Text("a", 1, text)])
    return tally.words, [(hit.line, hit.word) for hit in tally.hits]


def test_each_avoided_word_is_counted_with_its_line(prose):
    assert counted(prose, "Somebody asks\nwhat it is.\nNobody's answer.") == (
        7,
        [(1, "somebody"), (2, "what"), (3, "nobody")],
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Call `what()` or ``who`` now.", 3),
        ("See\n```console\n$ what who\n```\nabove.", 2),
        ("A [page](docs/what.md) here.", 3),
        ('The key "who" is missing.', 4),
        ("Whatsoever is whole.", 3),
    ],
)
def test_code_and_other_words_are_not_counted(prose, text, words):
    assert counted(prose, text) == (words, [])


def test_line_behind_a_code_block_is_the_line_of_the_file(prose):
    assert counted(prose, "One\n```\na\nb\n```\nwhat\n") == (2, [(6, "what")])


SOURCE = '''"""A module of what is here."""

LIMIT = 3
"""How many: an attribute."""


def check(value):
    """Check a value."""
    if value == "one two":
        raise ValueError(f"the value {value!r} is not what it must be: {LIMIT} is" " the limit")
    execute("SELECT what FROM who WHERE it = 1")
    return "<p>what is this</p>"
'''


def test_docstrings_of_modules_functions_and_attributes_are_found(prose):
    assert [(text.line, text.text) for text in prose.docstrings(SOURCE, "a.py")] == [
        (1, "A module of what is here."),
        (4, "How many: an attribute."),
        (8, "Check a value."),
    ]


def test_messages_are_the_other_strings_of_three_words_without_sql_and_html(prose):
    (message,) = prose.messages(SOURCE, "a.py")

    assert message.line == 10
    assert " ".join(message.text.split()) == "the value is not what it must be: is the limit"


def test_texts_within_the_limit_pass(prose, project, capsys):
    assert prose.main(project()) == 0
    assert "CONTRIBUTING.md" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("src/a.py", '"""What is here?"""\n', "src/a.py: 1 what"),
        ("src/a.py", '"""A module."""\n\nERROR = "nobody knows this value"\n', "src/a.py: 3 nobody"),
        ("CONTRIBUTING.md", "Hello.\n\nWho are you?\n", "CONTRIBUTING.md: 3 who"),
        ("SECURITY.md", "Tell somebody.\n", "SECURITY.md: 1 somebody"),
    ],
)
def test_text_over_the_limit_fails_and_its_lines_are_named(prose, project, capsys, name, text, expected):
    assert prose.main(project(**{name: text})) == 1
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize("name", ["README.md", "docs/a.md"])
def test_other_markdown_is_reported_only(prose, project, capsys, name):
    assert prose.main(project(**{name: "Who knows what?\n"})) == 0

    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(name)]
    assert line.split() == [name, "3", "2", "666.7"]
