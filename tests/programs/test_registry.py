"""aurora-registry --config.check: what is wrong is said, by name, and nothing is started."""

from __future__ import annotations

import pytest

from exporter.programs.registry import main


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
