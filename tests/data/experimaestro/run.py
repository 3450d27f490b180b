import sys
from pathlib import Path
from experimaestro import experiment, tag
from lab.tasks import *

def main(ws):
    with experiment(ws, "study") as xp:
        parts = []
        for layers in (1, 2):
            model = Model.C(layers=tag(layers), kind=Kind.LARGE if layers == 2 else Kind.SMALL, sizes=[layers, 3])
            loader = Learn.C(model=model, optimizer=Optimizer.C(lr=0.5 if layers == 2 else 0.1, name="sgd" if layers == 1 else None), options={"b": 1.5, "a": 2.0}).submit()
            ev = Evaluate.C(model=model)
            ev.submit(init_tasks=[loader])
            parts.append(ev)
        Total.C(parts=parts).submit()
        Total.C(parts=parts[:1], fail=True).submit()

if __name__ == "__main__":
    main(Path(sys.argv[1]))
