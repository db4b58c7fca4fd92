"""Token files: what they may hold, and how changes come into force."""

from __future__ import annotations

import pytest

from exporter.auth import keyring as keyring_module
from exporter.auth.keyring import CredentialKind, Keyring, Principal
from exporter.domain.config import Auth
from exporter.domain.errors import Invalid
from exporter.domain.signing import node_token

JOIN = "join-token-of-the-tests"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no token: `aurora-cli token create FILE` makes one"),
        (b"# nothing\n\n", "holds no token"),
        (b"good-token-of-the-tests\nsecret\n", "line 2: expected a token of 16 to 512 characters, got 6"),
        (b"secret secret secret", "line 1: expected a token of letters, digits"),
        ("sécret-secret-secret".encode(), "line 1: expected a token of letters, digits"),
        (b"\xff" * 20, "line 1: expected a token of letters, digits"),
        (b"aurora-node.secret.secret", "line 1: expected no token of a node"),
        (b"secret" * 20_000, "has more than 65536 bytes"),
        (b"".join(b"secret-secret-%d\n" % number for number in range(1000, 1065)), "at most 64 tokens, got 65"),
        (b"secret-secret-secret # \x01", "line 1: expected no control"),
    ],
)
def test_what_a_file_may_not_hold(tmp_path, content, message):
    """Named by setting, file and line, and never repeated."""
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(Invalid) as refused:
        Keyring(Auth(operator_token_file=str(tmp_path / "t")))

    assert str(refused.value).startswith("auth.operator_token_file: ")
    assert message in str(refused.value)
    assert "secret" not in str(refused.value)


def test_one_token_is_not_two_kinds(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(JOIN)
    with pytest.raises(Invalid, match=r"auth.read_token_file: holds a token of auth.join_token_file too"):
        Keyring(Auth(join_token_file=f"{tmp_path}/a", read_token_file=f"{tmp_path}/b"))


def test_a_changed_file_is_read_again_and_a_bad_one_is_not_taken(tmp_path, caplog):
    """Nor is one that is gone; and it is said once."""
    path = tmp_path / "t"
    path.write_text(JOIN)
    keyring = Keyring(Auth(join_token_file=str(path)))
    for content in ("", None):
        path.write_text(content) if content is not None else path.unlink()
        for _ in range(3):
            keyring.refresh()
        assert keyring.identify(JOIN.encode()) == Principal(CredentialKind.JOIN)
    assert len([line for line in caplog.messages if "refused" in line]) == 2
    fresh = tmp_path / "fresh"
    fresh.write_text("another-token-of-the-tests")
    fresh.replace(path)
    keyring.refresh()

    assert keyring.identify(JOIN.encode()) is None
    assert keyring.identify(node_token(JOIN, "v").encode()) is None
    assert keyring.identify(node_token("another-token-of-the-tests", "v").encode()) == Principal(
        CredentialKind.NODE, "v"
    )


def test_strangers_fill_no_memory(tmp_path, monkeypatch):
    """Only names that proved their token are remembered, and only so many."""
    monkeypatch.setattr(keyring_module, "MAX_REMEMBERED", 3)
    (tmp_path / "t").write_text(JOIN)
    keyring = Keyring(Auth(join_token_file=f"{tmp_path}/t"))
    for number in range(10):
        assert keyring.identify(b"aurora-node.n%d.wrong" % number) is None
    assert not keyring._tokens.derived
    for number in range(10):
        assert keyring.identify(node_token(JOIN, f"n{number}").encode()) is not None
        assert len(keyring._tokens.derived) <= 3
    assert keyring.identify(b"x" * 10_000) is None
