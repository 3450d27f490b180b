"""Filters: which jobs are meant, as `state = error and lr <= 0.01 and model ~ "cnn.*"`. Specified in docs/filters.md.

Loading its parser takes a while: whoever needs this module loads it when there is a filter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, Protocol

from lark import Lark
from lark.exceptions import UnexpectedInput

from xpm.core.lengths import seconds
from xpm.core.spelling import nearest
from xpm.core.state import State
from xpm.errors import SubmissionError, UsageError
from xpm.types import Scalar

Look = Callable[[str], Sequence[Scalar]]
"""Gives what a job has under a name: nothing, or one value, or several."""

FIELDS = (
    "state", "task", "label", "id", "experiment", "queue", "priority", "attempt", "host", "worker", "submitted",
    "started", "ended", "seconds",
)  # fmt: skip
"""The names that every job has a value for, or could have; all others are tags."""

TIMES = ("submitted", "started", "ended")
"""Those of them that are times."""

TAG = "tag."
"""Before a name: the tag, also where a field has that name."""


class Filter(Protocol):
    """A filter, or a part of one."""

    def keeps(self, look: Look) -> bool:
        """Whether the job that `look` looks at is meant."""
        ...

    def names(self) -> Iterator[str]:
        """The names that it asks for."""
        ...


@dataclass(frozen=True, slots=True)
class Both:
    """All of several."""

    parts: tuple[Filter, ...]

    def keeps(self, look: Look) -> bool:
        """Whether all of them keep it."""
        return all(part.keeps(look) for part in self.parts)

    def names(self) -> Iterator[str]:
        """Those of all."""
        return (name for part in self.parts for name in part.names())

    def __str__(self) -> str:
        return " and ".join(f"({part})" if isinstance(part, Either) else str(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Either:
    """One of several."""

    parts: tuple[Filter, ...]

    def keeps(self, look: Look) -> bool:
        """Whether one of them keeps it."""
        return any(part.keeps(look) for part in self.parts)

    def names(self) -> Iterator[str]:
        """Those of all."""
        return (name for part in self.parts for name in part.names())

    def __str__(self) -> str:
        return " or ".join(map(str, self.parts))


@dataclass(frozen=True, slots=True)
class Not:
    """What the other does not keep."""

    part: Filter

    def keeps(self, look: Look) -> bool:
        """Whether the other does not."""
        return not self.part.keeps(look)

    def names(self) -> Iterator[str]:
        """Those of the other."""
        return self.part.names()

    def __str__(self) -> str:
        return f"not ({self.part})" if isinstance(self.part, (Both, Either)) else f"not {self.part}"


@dataclass(frozen=True, slots=True)
class Has:
    """Jobs that have something under a name."""

    name: str

    def keeps(self, look: Look) -> bool:
        """Whether there is a value."""
        return bool(look(self.name))

    def names(self) -> Iterator[str]:
        """The one."""
        yield self.name

    def __str__(self) -> str:
        return _word(self.name)


@dataclass(frozen=True, slots=True)
class Compare:
    """Jobs whose value under a name compares like that to one of `values`; none without a value."""

    name: str
    operator: str
    values: tuple[Literal, ...]

    def keeps(self, look: Look) -> bool:
        """Whether a value of the job's fits; for `!=`, `!~` and `not in`, whether all of them do."""
        found = look(self.name)
        negative = self.operator in _NEGATIVE
        fits = _FITS[_NEGATIVE.get(self.operator, self.operator)]
        any_fits = any(fits(value, literal) for value in found for literal in self.values)
        return bool(found) and any_fits != negative

    def names(self) -> Iterator[str]:
        """The one."""
        yield self.name

    def __str__(self) -> str:
        values = ", ".join(map(str, self.values))
        return f"{_word(self.name)} {self.operator} {f'({values})' if self.operator in _LISTS else values}"


class Literal(NamedTuple):
    """A value in a filter."""

    text: str
    number: int | float | None = None
    """What the text is as a number."""
    quoted: bool = False

    def __str__(self) -> str:
        return f'"{_ESCAPED.sub(_escape, self.text)}"' if self.quoted else self.text


def _equal(value: Scalar, literal: Literal) -> bool:
    if isinstance(value, bool) or value is None:
        return str(value).lower() == literal.text.lower()
    if isinstance(value, str):
        return value == literal.text
    return literal.number is not None and (value == literal.number or (value, literal.text) == (value, "nan"))


def _order(test: Callable[[Any, Any], bool]) -> Callable[[Scalar, Literal], bool]:
    def fits(value: Scalar, literal: Literal) -> bool:
        if value is None or isinstance(value, bool):
            return False
        number = _number(value) if isinstance(value, str) else value
        if number is not None and literal.number is not None:
            return test(number, literal.number)
        # A date begins with a number, and so may what it is compared to.
        comparable = isinstance(value, str) and (literal.number is None or _DATE.match(value) is not None)
        return comparable and test(value, literal.text)

    return fits


def _matches(value: Scalar, literal: Literal) -> bool:
    return _pattern(literal.text).search(str(value)) is not None


_FITS: dict[str, Callable[[Scalar, Literal], bool]] = {
    "=": _equal,
    "in": _equal,
    "~": _matches,
    "<": _order(lambda value, limit: value < limit),
    "<=": _order(lambda value, limit: value <= limit),
    ">": _order(lambda value, limit: value > limit),
    ">=": _order(lambda value, limit: value >= limit),
}
_NEGATIVE = {"!=": "=", "!~": "~", "not in": "in"}
_LISTS = ("in", "not in")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}(-\d\d(-\d\d([ T]\d\d(:\d\d(:\d\d)?)?)?)?)?")


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


def _number(text: str) -> int | float | None:
    """`text` as a number; None when it is none."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


# Reading

_GRAMMAR = r"""
?start: either
?either: both (_OR both)*
?both: no (_AND no)*
?no: _NOT no -> no
   | "(" either ")"
   | compare
compare: name OPERATOR value -> compare
       | name _IN "(" value ("," value)* ","? ")" -> among
       | name _NOT _IN "(" value ("," value)* ","? ")" -> outside
       | name -> has
name: WORD | STRING
value: WORD | STRING

_OR.2: /or(?![^\s()=!<>~,"'&|])/i | "||" | "|"
_AND.2: /and(?![^\s()=!<>~,"'&|])/i | "&&" | "&"
_NOT.2: /not(?![^\s()=!<>~,"'&|])/i | "!"
_IN.2: /in(?![^\s()=!<>~,"'&|])/i
OPERATOR.3: "==" | "=" | "!=" | "<>" | "<=" | "<" | ">=" | ">" | "=~" | "~" | "!~"
STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
WORD: /[^\s()=!<>~,"'&|]+/
%ignore /\s+/
"""

_SAME = {"==": "=", "<>": "!=", "=~": "~"}
_ESCAPED = re.compile(r'["\\]')
_PLAIN = re.compile(r"""[^\s()=!<>~,"'&|]+""")
_KEYWORDS = frozenset({"or", "and", "not", "in"})


def shown(text: str) -> str:
    """`text` in quotes, for a message."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _escape(found: re.Match[str]) -> str:
    return "\\" + found[0]


def _word(name: str) -> str:
    """A name as it can be read again."""
    if _PLAIN.fullmatch(name) and name.lower() not in _KEYWORDS:
        return name
    return f'"{_ESCAPED.sub(_escape, name)}"'


@cache
def _parser() -> Any:
    return Lark(_GRAMMAR, parser="lalr")


def parse(text: str) -> Filter:
    """The filter that `text` says.

    Raises:
        UsageError: it says none; where and why.
    """
    if not text.strip():
        raise UsageError('a filter is empty; it is like: state = error and lr <= 0.01 and model ~ "cnn.*"')
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as wrong:
        raise UsageError(_wrong(text, wrong)) from None
    return _made(tree)


def _wrong(text: str, wrong: Any) -> str:
    """What is wrong with the filter `text`, and where."""
    about = f"the filter {shown(text)}"
    token = getattr(wrong, "token", None)
    if token is None:
        return f"{about}: the quote at {_cut(text[wrong.pos_in_stream :])} isn't closed"
    found = set(wrong.expected)
    if found == {"$END"}:
        return f"{about}: there is a {token} too many"
    place = "at its end" if token.type == "$END" else f"before {_cut(text[wrong.pos_in_stream :])}"
    return f"{about}: expected {_expected(found)} {place}"


def _expected(names: set[str]) -> str:
    if "WORD" in names:
        return "a name, such as state or lr," if "_NOT" in names else "a value"
    if "OPERATOR" in names:
        return "a comparison such as =, or 'and' or 'or',"
    if "_AND" in names:
        return "'and' or 'or'"
    return "a list such as (a, b)" if "LPAR" in names else "')'"


def _cut(text: str) -> str:
    return text if len(text) <= 20 else f"{text[:17]}..."


def _made(tree: Any) -> Filter:
    """The filter of a parsed text."""
    rule, parts = str(tree.data), tree.children
    if rule == "either":
        return Either(tuple(map(_made, parts)))
    if rule == "both":
        return Both(tuple(map(_made, parts)))
    if rule == "no":
        return Not(_made(parts[0]))
    name = _name(parts[0].children[0])
    if rule == "has":
        return Has(name)
    if rule == "compare":
        operator = _SAME.get(str(parts[1]), str(parts[1]))
        return _compared(name, operator, parts[2:])
    return _compared(name, "in" if rule == "among" else "not in", parts[1:])


def _compared(name: str, operator: str, values: Sequence[Any]) -> Compare:
    literals = [_literal(each.children[0]) for each in values]
    if name == "state" and operator in ("=", "!=", *_LISTS):
        literals = [_state(each.text) for each in literals]
    if name == "seconds":
        literals = list(map(_length, literals))
    if name in TIMES and operator not in ("~", "!~"):
        literals = [_moment(name, each) for each in literals]
    if operator in ("~", "!~"):
        try:
            _pattern(literals[0].text)
        except re.error as wrong:
            raise UsageError(f"{shown(literals[0].text)} is no regular expression: {wrong}") from None
    return Compare(name, operator, tuple(literals))


def _name(token: str) -> str:
    """A name as fields and tags have it; `@state` is experimaestro's spelling."""
    text = _unquoted(token)
    bare = text.removeprefix("@")
    return bare if bare in FIELDS else text


def _literal(token: str) -> Literal:
    text = _unquoted(token)
    return Literal(text, _number(text), quoted=_PLAIN.fullmatch(text) is None)


def _state(text: str) -> Literal:
    names = [state.value for state in State]
    if text.upper() not in names:
        raise UsageError(
            f"no state {text!r}{nearest(text.upper(), names) or '; there are ' + ', '.join(names)}"
        )
    return Literal(text.upper())


def _length(literal: Literal) -> Literal:
    """A length of time in words, such as `2h`, as seconds."""
    if literal.number is not None:
        return literal
    try:
        return literal._replace(number=seconds(literal.text, "seconds", least=0))
    except SubmissionError:
        raise UsageError(f"seconds: expected a number, or a text like 2h, got {literal.text!r}") from None


def _moment(name: str, literal: Literal) -> Literal:
    """The begin of a time, as jobs have times."""
    if _MOMENT.fullmatch(literal.text) is None:
        raise UsageError(
            f'{name}: expected a day or a time, such as 2026-11-28 or "2026-11-28 12:30", got {shown(literal.text)}'
        )
    return literal._replace(text=literal.text.replace("T", " "))


def _unquoted(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL) if token[0] in "\"'" else str(token)


def refuse_unknown(wanted: Filter, tags: Collection[str]) -> None:
    """Refuses a filter that asks for a tag that no job has: nothing could fit, or with `not` everything.

    Raises:
        UsageError: naming the tag and those that there are.
    """
    for name in wanted.names():
        tag = name.removeprefix(TAG)
        if tag not in tags and name not in FIELDS:
            known = sorted(tags)
            there = (
                f"; there are {', '.join(known[:10])}{', ...' * (len(known) > 10)}"
                if known
                else ": none has a tag"
            )
            hint = nearest(tag, known) or nearest(tag, FIELDS, least=0.75) or there
            raise UsageError(f"no job has a tag {tag!r}{hint}")
