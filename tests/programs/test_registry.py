"""aurora-registry --config.check: what is wrong is said, by name, and nothing is started."""

from __future__ import annotations

import pytest

from exporter.programs.registry import main
from tests.support.registry_process import program, run_program


@pytest.mark.parametrize(
    ("arguments", "environment", "complaint"),
    [
        (["--store=redis://a:b:c"], {}, "  store: expected host:port, with a port from 1 to 65535"),
        (["--event-bus=redis+cluster://a:1/3"], {}, "  event_bus.url: expected nothing after a cluster's hosts"),
        (
            [],
            {"AURORA_METRICS_DISABLED_FAMILIES": "aurora_node_gpu"},
            "  metrics.disabled_families: there is no family aurora_node_gpu; did you mean aurora_node_gpus?",
        ),
        ([], {"AURORA_THRESHOLDS_WARNING_AFTER": "6m"}, "  thresholds.offline_after: "),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(arguments, environment, complaint, monkeypatch, capsys):
    """Also where only those who connect, or expose, can know."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["--config.check", *arguments]) == 1
    assert complaint in capsys.readouterr().err


def test_the_defaults_are_valid(capsys):
    """Nothing at all is a configuration."""
    assert main(["--config.check"]) == 0
    assert capsys.readouterr().out == "the configuration is valid\n"


def test_help_fits_a_terminal_and_has_examples(monkeypatch, capsys):
    """80 columns, and what to type."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert "examples:\n  aurora-registry\n" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.servers
@pytest.mark.parametrize("files", [6, 12, 63])
def test_too_few_open_files_are_refused_with_what_to_do(files, tmp_path):
    """Nothing is opened, and nothing waits for files that never come."""
    command = [*program("registry"), "--web.listen-address=127.0.0.1:0"]
    ended = run_program(["bash", "-c", f'ulimit -n {files}; exec "$@"', "bash", *command], tmp_path)
    assert (ended.returncode, ended.stdout, [*tmp_path.iterdir()]) == (1, "", [])
    assert ended.stderr == (
        f"aurora-registry: it may open {files} files, and needs 64, and one more for each connection: "
        "raise `ulimit -Hn`, or LimitNOFILE of its unit\n"
    )
