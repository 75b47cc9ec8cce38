"""Prose gate: counts words that plain technical English avoids, in docstrings, messages and Markdown files.

Docstrings and messages of `src`, CONTRIBUTING.md and SECURITY.md may have `LIMIT` of these words per 1 000 words. The
other Markdown files are reported only.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

AVOIDED: Final = frozenset(
    ("what", "who", "whom", "whoever", "whatever", "nobody", "somebody", "everybody", "anybody"),
)
LIMIT: Final = 3.0
BOUND_FILES: Final = ("CONTRIBUTING.md", "SECURITY.md")

_WORST_FILES: Final = 10
_LEAST_WORDS_OF_A_MESSAGE: Final = 3
_WORD: Final = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)*")  # noqa: RUF001 - the apostrophe of a contraction
_CODE: Final = re.compile(r"^(?P<fence>```|~~~).*?^(?P=fence)|``.+?``|`[^`]+`|\"\w+\"", re.MULTILINE | re.DOTALL)
_LINK_TARGET: Final = re.compile(r"(?<=\])\([^()\s]*\)")
_SQL: Final = re.compile(
    r"\s*(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|WITH|PRAGMA|BEGIN|COPY|EXPLAIN|ANALYZE|VACUUM|LOCK)\b"
)


class Text(NamedTuple):
    """One docstring, message or Markdown file, with the line on which it begins."""

    file: str
    line: int
    text: str


class Hit(NamedTuple):
    """One avoided word."""

    file: str
    line: int
    word: str


class Tally(NamedTuple):
    """The number of words in some texts, and the avoided words among them."""

    words: int
    hits: tuple[Hit, ...]

    @property
    def rate(self) -> float:
        """Avoided words per 1 000 words."""
        return 1000 * len(self.hits) / self.words if self.words else 0.0


def tally(texts: Iterable[Text]) -> Tally:
    """Count the words of some texts; code spans and blocks, link targets and quoted identifiers have none."""
    words, hits = 0, []
    for file, first_line, text in texts:
        prose = _LINK_TARGET.sub("", _CODE.sub(_blank, text))
        for match in _WORD.finditer(prose):
            words += 1
            word = re.split("['’]", match[0])[0].lower()  # noqa: RUF001 - as above
            if word in AVOIDED:
                hits.append(Hit(file, first_line + prose.count("\n", 0, match.start()), word))
    return Tally(words, tuple(hits))


def docstrings(source: str, file: str) -> Iterator[Text]:
    """Find the docstrings of modules, classes, functions and attributes."""
    for node in _docstring_nodes(ast.parse(source)):
        yield Text(file, node.lineno, str(node.value))


def messages(source: str, file: str) -> Iterator[Text]:
    """Find all other strings with at least three words and a space, such as errors, logs and help texts.

    The literal parts of an f-string are one message. SQL and HTML are not messages.
    """
    tree = ast.parse(source)
    seen = {id(node) for node in _docstring_nodes(tree)}
    for node in ast.walk(tree):  # parents come before their children
        if isinstance(node, ast.JoinedStr):
            parts = [part for part in node.values if isinstance(part, ast.Constant)]
            seen |= {id(part) for part in parts}
            text = " ".join(str(part.value) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in seen:
            text = node.value
        else:
            continue
        is_code = _SQL.match(text) is not None or text.lstrip().startswith("<")
        if " " in text.strip() and len(_WORD.findall(text)) >= _LEAST_WORDS_OF_A_MESSAGE and not is_code:
            yield Text(file, node.lineno, text)


def main(root: Path) -> int:
    """Print the report; return 1 if a bound text exceeds the limit, else 0."""
    sources = [(path.read_text("utf-8"), str(path.relative_to(root))) for path in sorted(root.glob("src/**/*.py"))]
    tallies = {
        "docstrings": tally(text for source in sources for text in docstrings(*source)),
        "messages": tally(text for source in sources for text in messages(*source)),
    }
    bound = {*tallies, *BOUND_FILES}
    markdown = [root / name for name in (*BOUND_FILES, "README.md")] + sorted(root.glob("docs/**/*.md"))
    for path in markdown:
        if "_build" not in path.parts:
            name = str(path.relative_to(root))
            tallies[name] = tally([Text(name, 1, path.read_text("utf-8"))])

    _print(f"{'avoided words per 1 000 words':<60}{'words':>8}{'hits':>6}{'rate':>7}")
    for name, counted in tallies.items():
        verdict = "" if name not in bound else "  ok" if counted.rate <= LIMIT else f"  over the limit of {LIMIT}"
        _print(f"{name:<60}{counted.words:>8}{len(counted.hits):>6}{counted.rate:>7.1f}{verdict}")
    over = [name for name in tallies if name in bound and tallies[name].rate > LIMIT]
    for name in over:
        _print_worst(name, tallies[name])
    return 1 if over else 0


def _docstring_nodes(tree: ast.Module) -> Iterator[ast.Constant]:
    """Find strings that are statements: docstrings, also those below an attribute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def _blank(code: re.Match[str]) -> str:
    return "\n" * code[0].count("\n")


def _print_worst(name: str, counted: Tally) -> None:
    by_file: dict[str, list[Hit]] = {}
    for hit in counted.hits:
        by_file.setdefault(hit.file, []).append(hit)
    _print(f"\n{name}: reword these lines, or use a noun instead of a clause")
    for file, hits in sorted(by_file.items(), key=lambda item: -len(item[1]))[:_WORST_FILES]:
        _print(f"  {file}: " + ", ".join(f"{hit.line} {hit.word}" for hit in hits))


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
