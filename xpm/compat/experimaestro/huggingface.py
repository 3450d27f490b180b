"""What `experimaestro.huggingface` has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpm.workspace.hub import downloaded, library
from xpm.workspace.saving import load, save

if TYPE_CHECKING:
    _Mixin = object
else:
    _Mixin = library("ExperimaestroHFHub").ModelHubMixin


class ExperimaestroHFHub(_Mixin):
    """A description for the hub: `ExperimaestroHFHub(config).push_to_hub("user/model")`, `.from_pretrained(...)`.

    What is saved is xpm's own form.
    """

    def __init__(self, config: Any) -> None:
        self.config = config

    def _save_pretrained(self, save_directory: Path) -> None:
        save(self.config, save_directory)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, as_instance: bool = False, **options: Any) -> Any:
        known = ("revision", "cache_dir", "force_download", "local_files_only", "token")
        folder = model_id
        if not os.path.isdir(model_id):
            folder = downloaded(model_id, **{name: options[name] for name in known if name in options})
        return load(folder, as_instance=as_instance, partial=True)


__all__ = ["ExperimaestroHFHub"]
