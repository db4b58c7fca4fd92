"""`aurora-cli token`: files of tokens."""

from __future__ import annotations

import stat

from exporter.auth.tokenfiles import read_tokens
from exporter.client.credentials import read_token
from exporter.programs.cli import main


def run(capsys, *words):
    status = main(["token", *map(str, words)])
    reported = capsys.readouterr()
    return status, reported.out, reported.err


def test_a_new_file_has_a_token_that_only_its_owner_can_read(tmp_path, capsys):
    """And nothing that is said has it."""
    path = tmp_path / "join"
    status, out, err = run(capsys, "create", path, "--label", "alice")
    (token,) = read_tokens(str(path))

    assert (status, stat.S_IMODE(path.stat().st_mode), token.label, len(token.secret)) == (0, 0o600, "alice", 43)
    assert token.secret not in out + err + repr(token)
    status, _, err = run(capsys, "create", path)
    assert (status, read_tokens(str(path))) == (1, (token,))
    assert "token rotate" in err


def test_rotation_puts_the_new_token_first_and_then_removes_the_old(tmp_path, capsys):
    """Who uses such a file sends the first."""
    path = tmp_path / "join"
    run(capsys, "create", path)
    path.chmod(0o640)
    (old,) = read_tokens(str(path))
    run(capsys, "rotate", path)
    new, second = read_tokens(str(path))

    assert second == old != new
    assert read_token(str(path)) == new.secret
    assert run(capsys, "rotate", path, "--finish")[0] == 0
    assert (read_tokens(str(path)), stat.S_IMODE(path.stat().st_mode)) == ((new,), 0o640)
    assert [each.name for each in tmp_path.iterdir()] == ["join"]


def test_secrets_are_shown_on_demand_alone(tmp_path, capsys):
    path = tmp_path / "join"
    path.write_text("a-token-of-the-tests # alice\n")
    path.chmod(0o644)
    _, shown, _ = run(capsys, "show-file", path)

    assert "alice" in shown
    assert "chmod 600" in shown
    assert "a-token-of-the-tests" not in shown
    assert "a-token-of-the-tests" in run(capsys, "show-file", path, "--reveal")[1]


def test_what_is_no_file_of_tokens_is_said_without_its_content(tmp_path, capsys):
    path = tmp_path / "join"
    path.write_text("good-token-of-the-tests\nsecret\n")

    status, out, err = run(capsys, "rotate", path)
    assert (status, out) == (1, "")
    assert "line 2: expected a token of 16 to 512 characters, got 6" in err.replace("\n", " ")
    assert run(capsys, "show-file", tmp_path / "none")[0] == 1
    assert run(capsys, "create", tmp_path / "none" / "deep")[0] == 1
    assert run(capsys, "create", tmp_path / "x", "--label", "a#b")[0] == 2
