"""Which commit a checkout is of, in every form that git gives one."""

from __future__ import annotations

import pytest

from exporter.wiring.revision import commit_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PACKED = f"# pack-refs with: peeled fully-peeled sorted\n{'f' * 40} refs/heads/other\n{COMMIT} refs/heads/main\n"
HEAD = "ref: refs/heads/main\n"


@pytest.mark.parametrize(
    "files",
    [
        {".git/HEAD": HEAD, ".git/refs/heads/main": f"{COMMIT}\n"},
        {".git/HEAD": HEAD, ".git/packed-refs": PACKED},
        {".git/HEAD": f"{COMMIT}\n"},
        {
            ".git": "gitdir: main/.git/worktrees/w\n",
            "main/.git/worktrees/w/HEAD": HEAD,
            "main/.git/worktrees/w/commondir": "../..\n",
            "main/.git/packed-refs": PACKED,
        },
    ],
    ids=["a branch", "a packed branch", "no branch", "a worktree"],
)
def test_the_commit_of_a_checkout(tmp_path, files):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert commit_of(tmp_path) == COMMIT


@pytest.mark.parametrize("files", [{}, {".git/HEAD": HEAD}, {".git/HEAD": HEAD, ".git/packed-refs": "# nothing\n"}])
def test_what_is_no_checkout_has_no_commit(tmp_path, files):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with pytest.raises((OSError, ValueError, KeyError)):
        commit_of(tmp_path)
