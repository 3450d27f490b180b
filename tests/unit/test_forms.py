"""Several values at once."""

import pytest

from xpm.describe.forms import form_of, given_by
from xpm.describe.yamls import read_text
from xpm.errors import ConfigError


def values(text: str) -> list[object]:
    node = read_text(text, "p.yaml", line=1)
    form = form_of(node, takes_mappings=False)
    assert form is not None
    return [each.plain() for each in given_by(form, node, "lr")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{range: [1, 4]}", [1, 2, 3]),
        ("{range: [0, 1, 0.25]}", [0.0, 0.25, 0.5, 0.75]),
        ("{range: [0.1, 0.5, 0.1]}", [0.1, 0.2, 0.3, 0.4]),
        ("{range: [1, 1.3, 0.1]}", [1.0, 1.1, 1.2]),
        ("{range: [5, 0, -2]}", [5, 3, 1]),
        ("{range_mult: [1, 4, 2]}", [1, 2, 4, 8]),
        ("{range_mult: [0.001, 3, 10]}", [0.001, 0.01, 0.1]),
        ("{value: [1, 2]}", [[1, 2]]),
        ("{values_list: [1, a]}", [1, "a"]),
        ("{grid_search: [[1], [2]]}", [[1], [2]]),
        ("{grid_search: {range: [0, 2]}}", [0, 1]),
    ],
)
def test_a_form_gives_values(text: str, found: list[object]) -> None:
    assert values(text) == found
    assert [type(each) for each in values(text)] == [type(each) for each in found]


@pytest.mark.parametrize("text", ["3", "[1]", "{}", "{a: 1}", "{range: [1], value: 2}", "{1: 2}"])
def test_other_values_are_plain(text: str) -> None:
    assert form_of(read_text(text, "p.yaml"), takes_mappings=False) is None


def test_where_a_mapping_is_wanted_only_grid_search_is_a_form() -> None:
    assert form_of(read_text("{range: [1]}", "p.yaml"), takes_mappings=True) is None
    assert form_of(read_text("{grid_search: [1]}", "p.yaml"), takes_mappings=True) == "grid_search"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{range: 3}", "range: expected [start, end] or [start, end, step], got 3"),
        ("{range: [1]}", "range: expected [start, end] or [start, end, step], got [1]"),
        ("{range: [0, a]}", "range: expected [start, end] or [start, end, step], got [0, 'a']"),
        ("{range: [0, true]}", "range: expected [start, end] or [start, end, step], got [0, True]"),
        ("{range: [0, .inf]}", "range: expected [start, end] or [start, end, step], got [0, inf]"),
        ("{range: [0, 1, 0]}", "range: the step is 0"),
        ("{range: [3, 3]}", "range: gives no value"),
        ("{range: [0, 1, 1e-9]}", "gives more than 100,000 values"),
        ("{range_mult: [1, 2.5, 2]}", "range_mult: expected [start, count, factor], got [1, 2.5, 2]"),
        ("{range_mult: [1, 3, 0]}", "range_mult: expected [start, count, factor], got [1, 3, 0]"),
        ("{range_mult: [1, 100, 10]}", "gives numbers that are too large"),
        ("{range_mult: [1.0, 10000, 1e300]}", "gives numbers that are too large"),
        ("{values_list: 3}", "values_list: expected a list, got 3"),
        ("{values_list: []}", "values_list: gives no value"),
        (
            "{grid_search: {a: 1}}",
            "grid_search: expected a list or one of range, range_mult, value, values_list, got {'a': 1}",
        ),
    ],
)
def test_what_gives_no_values(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        values(text)
    assert str(caught.value) == f"p.yaml:1: lr: {message}"
