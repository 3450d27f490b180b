"""YAML with places."""

from math import inf, isnan

import pytest

from xpm.describe.yamls import Node, read_file, read_text
from xpm.errors import ConfigError, UsageError


def read(text: str) -> Node:
    return read_text(text, "p.yaml", line=1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("3", 3),
        ("-3", -3),
        ("017", 17),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.inf", -inf),
        ("1e", "1e"),
        ("'3'", "3"),
        ('"true"', "true"),
        ("!!str 3", "3"),
        ("!!float 3", 3.0),
        ("[1, a, [2.5]]", [1, "a", [2.5]]),
        ("{a: 1, 2: {}}", {"a": 1, 2: {}}),
        ("a:\nb: ~\n", {"a": None, "b": None}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
    ],
)
def test_a_document_is_read_as_yaml_1_2_says(text: str, value: object) -> None:
    found = read(text).plain()
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number() -> None:
    assert isnan(read(".nan").plain())


def test_values_know_their_lines_and_how_they_were_written() -> None:
    found = read("a: &list\n  - 1e-3\n  - 'x'\nb:\n  c: 2\nd: *list\n").mapping("it")
    assert [(name, each.line) for name, each in found.items()] == [("a", 1), ("b", 4), ("d", 6)]
    assert isinstance(found["a"].value, list)
    assert [(each.place, each.text) for each in found["a"].value] == [
        ("p.yaml:2", "1e-3"),
        ("p.yaml:3", None),
    ]
    assert found["b"].mapping("it")["c"].place == "p.yaml:5"
    assert read_text("3", "-s a=3").place == "-s a=3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "p.yaml:2: a is given twice"),
        ("a: [1\nb: 2\n", "p.yaml:2: is no YAML: expected ',' or ']', but got ':'"),
        ("a: 1\n b: 2\n", "p.yaml:2: is no YAML: mapping values are not allowed here"),
        ("a: *b\n", "p.yaml:1: is no YAML: found undefined alias 'b'"),
        ("a: 1\n---\nb: 2\n", "p.yaml:2: is no YAML: but found another document"),
        ("x: 1\na: &a [*a]\n", "p.yaml:2: contains itself"),
        ("a: !x 1\n", "p.yaml:1: expected no tag such as !x"),
        (
            "a: !!python/name:os.system\n",
            "p.yaml:1: expected no tag such as tag:yaml.org,2002:python/name:os.system",
        ),
        ("a: !!int x\n", "p.yaml:1: expected int, got 'x'"),
        ("a: !!null x\n", "p.yaml:1: expected null, got 'x'"),
        ("a: !!bool x\n", "p.yaml:1: expected bool, got 'x'"),
        ("[1]: 2\n", "p.yaml:1: expected a name before the ':', got a list or a mapping"),
        ("a: b\nc: \x01\n", "p.yaml:2: is no YAML: has the character '\\x01'"),
        (
            "<<: 3\n",
            "p.yaml:1: is no YAML: expected a mapping or list of mappings for merging, but found scalar",
        ),
        ("[" * 5000, "p.yaml:1: is nested too deeply"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value) == message


def test_names_are_texts() -> None:
    with pytest.raises(ConfigError, match=r"^p.yaml:2: expected a name in the parameters, got 3$"):
        read("a: 1\n3: 2\n").mapping("the parameters")
    with pytest.raises(
        ConfigError, match=r"^p.yaml:1: expected the parameters as 'name: value' lines, got \[1\]$"
    ):
        read("[1]").mapping("the parameters")


def test_files_that_cannot_be_read(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"^no.yaml: can't be read: No such file or directory$"):
        read_file(tmp_path / "no.yaml", "no.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match=r"^b.yaml: is no text in UTF-8, at byte 3$"):
        read_file(tmp_path / "bytes.yaml", "b.yaml")
    (tmp_path / "good.yaml").write_text("a: 1")
    assert read_file(tmp_path / "good.yaml").plain() == {"a": 1}
