"""What an editor shows of users' classes, asked of a real language server over its protocol."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

LAB = '''
from xpm import Config, Meta, Param, Task

class Model(Config):
    layers: Param[int] = 2

class Train(Task):
    """Fits a model."""

    model: Param[Model]
    lr: Param[float] = 0.1
    """How fast it learns."""
    threads: Meta[int] = 1

    def execute(self) -> float:
        return self.lr

train = Train.C(model=Model.C(), lr=0.2)
print(train.lr)
done = train.submit()
result = done.result()
Train.C()
'''
SERVER = Path(sys.executable).with_name("basedpyright-langserver")


def place(text: str, after: bool = False) -> lsp.Position:
    """Where `text` begins, or ends, in the last line that has it."""
    lines = LAB.splitlines()
    row = max(number for number, line in enumerate(lines) if text in line)
    return lsp.Position(row, lines[row].index(text) + (len(text) if after else 0))


async def asked(folder: Path) -> dict[str, Any]:
    """What the server completes in the call, and shows of some names."""
    path = folder / "lab.py"
    path.write_text(LAB)
    (folder / "pyrightconfig.json").write_text('{"include": ["lab.py"]}')
    client = LanguageClient("editor", "1")

    @client.feature(lsp.WORKSPACE_CONFIGURATION)
    def configuration(params: lsp.ConfigurationParams) -> list[Any]:
        return [{"pythonPath": sys.executable} for _ in params.items]

    await client.start_io(str(SERVER), "--stdio")
    try:
        ability = lsp.ClientCapabilities(
            workspace=lsp.WorkspaceClientCapabilities(configuration=True),
            text_document=lsp.TextDocumentClientCapabilities(
                hover=lsp.HoverClientCapabilities(content_format=[lsp.MarkupKind.Markdown])
            ),
        )
        root = lsp.WorkspaceFolder(folder.as_uri(), "lab")
        await client.initialize_async(lsp.InitializeParams(capabilities=ability, workspace_folders=[root]))
        client.initialized(lsp.InitializedParams())
        document = lsp.TextDocumentItem(path.as_uri(), lsp.LanguageKind.Python, 1, LAB)
        client.text_document_did_open(lsp.DidOpenTextDocumentParams(document))
        named = lsp.TextDocumentIdentifier(path.as_uri())
        inside = lsp.CompletionParams(text_document=named, position=place("Train.C(", after=True))
        found: dict[str, Any] = {"completed": await client.text_document_completion_async(inside)}
        for name in ("lr=", "lr)", "done", "result ="):
            found[name] = await client.text_document_hover_async(lsp.HoverParams(named, place(name)))
        await client.shutdown_async(None)
        client.exit(None)
        return found
    finally:
        await client.stop()


def test_an_editor_knows_the_parameters(tmp_path: Path) -> None:
    found = asyncio.run(asked(tmp_path))
    completed = found.pop("completed")
    labels = {each.label: each for each in getattr(completed, "items", completed)}
    assert {"model=", "lr=", "threads="} <= set(labels)
    shown = {name: each.contents.value for name, each in found.items()}
    assert "lr: Param[float]" in shown["lr)"] and "How fast it learns." in shown["lr)"]
    assert "done: Train" in shown["done"]
    assert "result: float" in shown["result ="]
