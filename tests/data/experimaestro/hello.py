"""Two words and their sum: a script that was run with experimaestro."""

import sys
from pathlib import Path
from typing import List

from experimaestro import Param, Task, experiment


class Say(Task):
    word: Param[str]

    def execute(self):
        print(self.word.upper())


class Concat(Task):
    strings: Param[List[Say]]

    def execute(self):
        print(" ".join(Path(each.__xpm_stdout__).read_text().strip() for each in self.strings))


if __name__ == "__main__":
    with experiment(Path(sys.argv[1]), "hello"):
        words = [Say.C(word=word).submit() for word in ("hello", "world")]
        Concat.C(strings=words).submit()
