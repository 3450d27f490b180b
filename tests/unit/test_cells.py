"""What is written for workers of a notebook's cells."""

from __future__ import annotations

import typing
from contextlib import suppress
from typing import Any

import pytest

from xpm.cells.history import History
from xpm.cells.source import Cells
from xpm.core.typeinfo import TypeInfo
from xpm.errors import ConfigError

NAME = "n.ipynb"
FILE = "n.ipynb.py"


class Notebook:
    """Cells that were executed one after another; one that fails is left where it does, as in a kernel."""

    def __init__(self, *cells: str) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.cells: list[str] = []
        self.run(*cells)

    def run(self, *cells: str) -> None:
        for cell in cells:
            self.cells.append(cell)
            with suppress(ZeroDivisionError):
                exec(compile(cell, "<in>", "exec", dont_inherit=True), self.names)

    @property
    def source(self) -> Cells:
        return Cells(NAME, History(self.cells, lambda cell: cell), self.names)

    @property
    def text(self) -> str:
        return self.source.files().get(FILE, b"").decode()

    def loaded(self) -> dict[str, Any]:
        """What a worker has once it has loaded the module."""
        names: dict[str, Any] = {"__name__": "loaded"}
        exec(compile(self.text, FILE, "exec", dont_inherit=True), names)
        return names

    def refusal(self, name: str) -> str:
        info = TypeInfo(f"{NAME}:{name}", "__main__", name, NAME, (), task=True)
        with pytest.raises(ConfigError) as refused:
            self.source.check([info])
        return str(refused.value)


def test_a_class_comes_with_all_that_it_uses_and_no_more() -> None:
    book = Notebook(
        "import math, json\nfrom pathlib import Path as P",
        "SCALE = 2\nUNUSED = 3\nplot = print",
        "def inner(x):\n    # kept\n    return x * SCALE\ndef outer(x): return math.sqrt(inner(x))",
        "class Base: pass",
        "class Train(Base):\n    where: P = P('a')\n    def execute(self): return outer(8)",
        "Train().execute()",
    )
    assert book.loaded()["Train"]().execute() == 4.0
    assert "# kept" in book.text and "UNUSED" not in book.text and "plot" not in book.text
    assert "Train().execute()" not in book.text
    assert book.source.check([]) is None


def test_where_no_class_is_defined_nothing_is_written() -> None:
    assert Notebook("import math\nx = 1", "def f(): return x").source.files() == {}


def test_the_text_is_the_same_whatever_runs_between_and_how_often() -> None:
    cells = ["N = {'b', 'a'}", "def f(): return N", "class Train:\n    def execute(self): return f()"]
    once = Notebook(*cells)
    assert Notebook(cells[0], "1 + 1", cells[0], *cells[1:], "print", cells[2]).text == once.text


def test_cells_that_were_run_again_come_in_an_order_that_works() -> None:
    base, child = (
        "class Base:\n    def __init_subclass__(cls): ALL.append(cls.__name__)",
        "class Child(Base): pass",
    )
    book = Notebook("import os", "ALL = []", base, child, "ALL = []", base, "ALL = []")
    loaded = book.loaded()
    assert loaded["Child"].__mro__[1] is loaded["Base"]
    assert book.text.index("class Base") < book.text.index("class Child")


def test_what_a_decorator_needs_comes_before_it_though_it_was_run_again() -> None:
    known = "KNOWN = str"
    book = Notebook(
        known,
        "def named(cls):\n    cls.label = KNOWN(3)\n    return cls",
        "@named\nclass Train:\n    pass",
        known,
    )
    assert book.loaded()["Train"].label == "3"


def test_the_newest_definition_wins() -> None:
    book = Notebook("class A:\n    def f(self): return 1", "class A:\n    def f(self): return 2")
    assert book.loaded()["A"]().f() == 2


def test_a_cell_that_failed_counts_up_to_there() -> None:
    book = Notebook(
        "def g(): return 1\nclass A:\n    def f(self): return g() + 1",
        "def g(): return 10\n1 / 0\nclass A:\n    def f(self): return g() + 2",
    )
    assert book.loaded()["A"]().f() == 11


def test_a_cell_that_is_no_python_is_passed_over() -> None:
    book = Notebook("class A: pass")
    book.cells.append("this is not python")
    assert book.loaded()["A"]


def test_definitions_below_magics_and_in_blocks_are_found() -> None:
    book = Notebook("class Shell:\n    def run_cell_magic(self, *given): pass")
    book.names["get_ipython"] = book.names["Shell"]
    magic = "import math\\nclass A:\\n    def f(self): return math.pi\\n"
    book.cells.append(f"get_ipython().run_cell_magic('time', '', '{magic}')")
    inside: dict[str, Any] = {}
    exec("import math\nclass A:\n    def f(self): return math.pi", inside)
    inside["A"].__module__ = "__main__"
    book.names |= {"A": inside["A"], "math": inside["math"]}
    book.run(
        "try:\n    import nothing_such as json\nexcept ImportError:\n    import json\n"
        "if True:\n    class B:\n        def f(self):\n            return json.dumps('''a\n  b''')",
    )
    loaded = book.loaded()
    assert loaded["A"]().f() > 3
    assert loaded["B"]().f() == '"a\\n  b"'


def test_all_parts_of_a_package_are_imported() -> None:
    book = Notebook("import xml.sax", "import xml.dom", "class A:\n    def f(self): return xml.sax, xml.dom")
    assert book.text.count("import xml") == 2


def test_imports_of_all_names_and_names_of_loops_are_found() -> None:
    book = Notebook(
        "from math import *",
        "from math import cos",
        "class Net: pass",
        "for Kind in (Net,): pass",
        "for turn in (cos,): pass",
        "class A:\n    kind = Kind\n    def f(self): return sqrt(4) + turn(0)",
    )
    loaded = book.loaded()
    assert loaded["A"]().f() == 3.0 and loaded["A"].kind is loaded["Net"]


@pytest.mark.parametrize("postponed", ["from __future__ import annotations\n", ""])
def test_annotations_are_followed(postponed: str) -> None:
    book = Notebook(
        f"{postponed}import typing\nclass Net: pass\nclass Other: pass",
        "exact = object()",
        "class A:\n    net: Net\n    how: typing.Literal['exact']\n    def f(self, other: 'Other') -> None: ...",
    )
    loaded = book.loaded()
    assert {"Net", "Other"} <= loaded.keys() and "exact" not in loaded
    assert typing.get_type_hints(loaded["A"], loaded)["net"] is loaded["Net"]


def test_postponed_annotations_need_no_order() -> None:
    book = Notebook("from __future__ import annotations\nclass A:\n    b: B\nclass B(A): pass")
    loaded = book.loaded()
    assert loaded["B"].__mro__[1] is loaded["A"]


def test_functions_are_kept_that_may_be_values() -> None:
    book = Notebook(
        "def mse(): return 1\ndef mae(): return 2\ndef plot(): pass",
        "class A: pass",
        "def study():\n    return [A(), mse, plot()]\nfor loss in [mae]: pass",
    )
    loaded = book.loaded()
    assert {"mse", "mae"} <= loaded.keys() and "plot" not in loaded


VALUES = [
    "None",
    "3",
    "-2.5",
    "float('inf')",
    "'a\\n\"b'",
    "b'x'",
    "(1,)",
    "()",
    "[1, [2, None]]",
    "{'a': (1, 2), 3: {4}}",
    "frozenset({1})",
    "set()",
    "range(3)",
    "1j",
]


@pytest.mark.parametrize("value", VALUES)
def test_plain_values_are_written_as_they_are_now(value: str) -> None:
    book = Notebook("x = None", "class A:\n    def f(self): return x")
    book.names["x"] = expected = eval(value)
    assert book.loaded()["A"]().f() == expected


@pytest.mark.parametrize(
    "line",
    [
        "import re; x = re.compile('a')",
        "from pathlib import Path; x = Path('a') / 'b'",
        "from functools import partial; x = partial(int, base=2)",
        "from enum import Enum\nclass Kind(Enum):\n    A = 1\nx = Kind.A",
        "x = {'int': int, 'many': [list[int]]}",
        "import logging; x = logging.getLogger(__name__)",
        "from typing import TypeVar; x = TypeVar('x')",
        "x = lambda: 3",
        "from sys import flags as x",
        "from collections import namedtuple\nPair = namedtuple('Pair', 'a b')\nx = Pair(1, int)",
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass P:\n    a: int\nx = P(1)",
        "from xpm import Config, Param\nclass M(Config):\n    a: Param[int] = 1\nx = M.C(a=2)",
    ],
)
def test_what_a_line_makes_anew_is_made_anew(line: str) -> None:
    book = Notebook(line, "class A:\n    def f(self): return x")
    assert type(book.loaded()["A"]().f()).__name__ == type(book.names["x"]).__name__


def test_data_of_the_kernel_is_named_with_what_to_do() -> None:
    book = Notebook(
        "class Frame: pass",
        "df = Frame()",
        "def load(): return df",
        "class A:\n    def f(self): return load()",
        "class B:\n    def f(self):\n        df = 1\n        return [df for load in ()]",
    )
    assert book.refusal("A") == (
        "A: uses df, a Frame that only this kernel has: make it a parameter, or make it in a function that the task calls "
        "(load uses it)"
    )
    assert book.loaded()["B"]().f() == []


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["x = [0] * 99_999"], "uses x, which is 299,997 bytes of data: give them as a file"),
        (["x = {}", "x['a'] = int"], "uses x, which was changed after it was made"),
        (["class x: pass", "x = type('x', (x,), {})"], "uses x, which a line makes of its old value"),
        (["exec('class x: pass')"], "no line of a cell defines x, as after %run or exec"),
    ],
)
def test_what_cannot_be_written_is_refused(cells: list[str], words: str) -> None:
    book = Notebook(*cells, "class A:\n    def f(self): return x")
    assert words in book.refusal("A")


def test_what_came_later_is_refused() -> None:
    book = Notebook("class A: pass")
    source = book.source
    assert source.files()
    book.run("class B: pass")
    info = TypeInfo(f"{NAME}:B", "__main__", "B", NAME, (), task=True)
    with pytest.raises(ConfigError, match="B: workers get the cells as they were at the first submission"):
        source.check([info])
    source.check([info._replace(script="other.ipynb")])


def test_what_only_kernels_have_is_refused() -> None:
    book = Notebook(
        "class A:\n    def f(self): get_ipython().system('ls')\nclass B:\n    def f(self): display(1)"
    )
    assert "A: uses get_ipython, as %magic and !shell do, which no worker has" in book.refusal("A")
    assert "B: uses display, which only notebooks have" in book.refusal("B")
