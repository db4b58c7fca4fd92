from __future__ import annotations

import pytest

from exporter.client.credentials import Credentials
from exporter.domain.errors import Invalid


def test_a_file_wins_over_the_environment(tmp_path):
    """And a token in the environment stands where no file is named."""
    (tmp_path / "a").write_text("one\n")
    (tmp_path / "b").write_text("two")
    environ = {"AURORA_TOKEN_FILE": str(tmp_path / "a"), "AURORA_TOKEN": "three"}
    assert Credentials.read(environ, token_file=str(tmp_path / "b")).token == "two"
    assert Credentials.read(environ).token == "one"
    assert Credentials.read({"AURORA_TOKEN": "three"}).token == "three"
    assert Credentials.read({}) == Credentials()


@pytest.mark.parametrize("content", [b"", b"\n", b"a b", b"# a", b"\xff", b"x" * 5000])
def test_what_is_no_token_is_refused_unseen(tmp_path, content):
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(Invalid) as refused:
        Credentials.read({}, token_file=str(tmp_path / "token"))
    assert "x" * 10 not in str(refused.value)
    assert str(tmp_path / "token") in str(refused.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"token_file": "/nowhere"}, "token_file: cannot read /nowhere: No such file or directory"),
        ({"key_file": "/nowhere"}, "key_file: expected a certificate .* beside the key"),
    ],
)
def test_files_that_are_missing_are_named(files, message):
    with pytest.raises(Invalid, match=message):
        Credentials.read({}, **files)


def test_tls_files_that_cannot_be_used_are_named(tmp_path):
    (tmp_path / "junk").write_text("junk")
    with pytest.raises(Invalid, match="ca_file: cannot use /nowhere"):
        Credentials(ca_file="/nowhere").tls()
    with pytest.raises(Invalid, match=r"cert_file: cannot use .*junk with its key"):
        Credentials(cert_file=str(tmp_path / "junk")).tls()
