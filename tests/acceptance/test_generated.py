"""Generated paths of descriptions, found again by real workers."""

from __future__ import annotations

from commands import Lab

PLAN = """
from pathlib import Path
from xpm import Config, Meta, Param, PathGenerator, Task, experiment, field

class Store(Config):
    size: Param[int]
    file: Meta[Path] = field(default_factory=PathGenerator(lambda context, config: f"{config.size}.bin"))

class Write(Task):
    stores: Param[list[Store]]
    def execute(self):
        for store in self.stores:
            store.file.parent.mkdir(parents=True)
            store.file.write_text(str(store.size))

class Read(Task):
    write: Param[Write]
    store: Param[Store] = field(ignore_generated=True)
    def execute(self):
        return self.store.file.read_text(), self.store.file == self.write.stores[1].file

if __name__ == "__main__":
    stores = [Store.C(size=size) for size in (3, 4)]
    with experiment("generated"):
        write = Write.C(stores=stores).submit()
        read = Read.C(write=write, store=stores[1]).submit()
        print(read.result(), stores[1].file.relative_to(write.jobpath))
"""


def test_a_shared_config_leads_to_the_file_of_the_first_job(lab: Lab) -> None:
    (lab.project / "plan.py").write_text(PLAN)
    assert lab.python("plan.py").stdout == "('4', True) out/stores/1/4.bin\n"
