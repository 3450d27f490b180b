"""What lies on another machine's disks."""

from __future__ import annotations

from pathlib import Path

from xpm.mounts import on_network


def test_network_file_systems_are_seen(tmp_path: Path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 254:0 / / rw - ext4 /dev/vda rw\n"
        "40 22 0:41 / /home rw shared:1 - nfs4 server:/home rw\n"
        "41 40 0:42 / /home/local rw - xfs /dev/vdb rw\n"
        "42 22 0:43 / /my\\040net rw - cifs //server/x rw\n"
    )
    assert on_network(Path("/home/ada/.local/state"), mounts)
    assert on_network(Path("/my net/x"), mounts)
    assert not on_network(Path("/home/local/ada"), mounts)
    assert not on_network(Path("/homes"), mounts)
    assert not on_network(Path("/home"), tmp_path / "none")
