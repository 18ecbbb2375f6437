"""INI files, line by line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventfs import ini


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ini") / "file"


def read(path: Path, text: str) -> ini.Ini:
    path.write_text(text, encoding="utf-8", newline="")
    return ini.read(path)


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("key = value", "key", "value"),
        ("key=value", "key", "value"),
        ("key: value", "key", "value"),
        ("key : value", "key", "value"),
        ("  key = value  ", "key", "value"),
        ("\tkey\t=\tvalue\t", "key", "value"),
        ("\fkey\f=\fvalue\f", "key", "value"),
        ("key = two words", "key", "two words"),
        ("two words = value", "two words", "value"),
        ("key = a=b:c", "key", "a=b:c"),
        ("key =", "key", ""),
        ("key = ; comment", "key", ""),
        ("key = value ; comment", "key", "value"),
        ("key = value\t; comment", "key", "value"),
        ("key = value     ; a comment in a column", "key", "value"),
        ("key = value ; comment ; and more", "key", "value"),
        ("key = value;more", "key", "value;more"),
        ("key = value # no comment", "key", "value # no comment"),
        ("key = one\ftwo", "key", "one\ftwo"),
        ("key = one\u2028two\x85three", "key", "one\u2028two\x85three"),
        ("Key = Wert äöü", "Key", "Wert äöü"),
        ("key = [value]", "key", "[value]"),
    ],
)
def test_a_key_has_a_value(path: Path, line: str, key: str, value: str) -> None:
    found = read(path, f"[section]\n{line}\n")
    assert found == ini.Ini({"section": {key: ini.Value(value, 2)}}, {"section": 1}, [])


@pytest.mark.parametrize(
    "line", ["", "  ", "\t", "\f", "; comment", "# comment", "  ; key = value"]
)
def test_blank_lines_and_comments_say_nothing(path: Path, line: str) -> None:
    found = read(path, f"{line}\n[section]\n{line}\nkey = value\n{line}")
    assert found == ini.Ini({"section": {"key": ini.Value("value", 4)}}, {"section": 2}, [])


@pytest.mark.parametrize("line", ["[a b]", "  [a b]  ", "[a b] ; comment", "[a b] more", "[a b]]"])
def test_a_section_stands_in_brackets(path: Path, line: str) -> None:
    assert read(path, line) == ini.Ini({"a b": {}}, {"a b": 1}, [])


@pytest.mark.parametrize("line", ["word", "two words", "[section", "=3", ": 3", "=", "word ; = 3"])
def test_any_other_line_is_a_mistake(path: Path, line: str) -> None:
    mistake = f"{path}:2: neither [section] nor KEY = VALUE: {line!r}"
    found = read(path, f"[section]\n  {line}\nkey = value")
    assert found == ini.Ini({"section": {"key": ini.Value("value", 3)}}, {"section": 1}, [mistake])


def test_an_indented_line_is_a_line_of_its_own(path: Path) -> None:
    found = read(path, "[section]\na = 1\n    b = 2\n        c = 3\n")
    assert found.sections == {
        "section": {"a": ini.Value("1", 2), "b": ini.Value("2", 3), "c": ini.Value("3", 4)}
    }


def test_a_key_before_all_sections_is_a_mistake_and_the_rest_is_read(path: Path) -> None:
    found = read(path, "a = 1\n[section]\nb = 2\nbad\n")
    assert found.sections == {"section": {"b": ini.Value("2", 3)}}
    assert found.mistakes == [
        f"{path}:1: a [section] must come first",
        f"{path}:4: neither [section] nor KEY = VALUE: 'bad'",
    ]


def test_a_section_may_be_resumed(path: Path) -> None:
    found = read(path, "[one]\na = 1\n[two]\n[one]\nb = 2\n")
    assert found == ini.Ini(
        {"one": {"a": ini.Value("1", 2), "b": ini.Value("2", 5)}, "two": {}},
        {"one": 1, "two": 3},
        [],
    )


def test_a_key_that_is_set_again_is_a_mistake_that_names_the_first_line(path: Path) -> None:
    found = read(path, "[one]\na = 1\n[two]\na = 2\n[one]\na = 3\na = 4")
    assert found.sections["one"]["a"] == ini.Value("1", 2)
    assert found.mistakes == [f"{path}:{line}: a was set in line 2 already" for line in (6, 7)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["", "BOM"])
def test_files_of_other_systems_are_read(path: Path, start: str, end: str) -> None:
    found = read(path, start + end.join(["; comment", "[section]", "key = value", ""]))
    assert found == ini.Ini({"section": {"key": ini.Value("value", 3)}}, {"section": 2}, [])


def test_what_is_no_text_is_a_mistake_in_its_line(path: Path) -> None:
    path.write_bytes(b"[section]\na = 1\nb = \xff\n")
    assert ini.read(path) == ini.Ini({}, {}, [f"{path}:3: not text: expected UTF-8"])


_words = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="=:;#[]\r\n"), max_size=8
)
_names = _words.map(str.strip).filter(bool)


@given(sections=st.dictionaries(_names, st.dictionaries(_names, _words.map(str.strip))))
def test_what_is_written_is_read(path: Path, sections: dict[str, dict[str, str]]) -> None:
    lines = [
        line
        for name, values in sections.items()
        for line in (f"[{name}]", *(f"{key} = {value}" for key, value in values.items()))
    ]
    found = read(path, "\n".join(lines))
    assert not found.mistakes
    assert sections == {
        name: {key: value.text for key, value in values.items()}
        for name, values in found.sections.items()
    }
    assert all(
        lines[value.line - 1].startswith(f"{key} =")
        for values in found.sections.values()
        for key, value in values.items()
    )
