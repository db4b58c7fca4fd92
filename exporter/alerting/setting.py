"""What the rules take from a configuration, and how long they wait because of it. Durations are nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.domain.clock import MINUTE, SECOND
from exporter.domain.config import Config
from exporter.domain.duration import format_duration
from exporter.domain.site import SiteRule
from exporter.domain.status import Thresholds

SCRAPE_INTERVAL = 15 * SECOND
"""As in alerts/prometheus.yml; what waits for two scrapes waits for so long."""
KEEP_FIRING_FOR = "3m"
"""How long an alert goes on without its series: neither a failed scrape nor a restart looks like a repair."""
KEEP_SUPPRESSING = "10m"
"""An alert that suppresses others outlives their KEEP_FIRING_FOR and a group_interval: else they fire after repair."""
NON_PRODUCTION = ("test", "testing", "staging", "dev", "development")
"""Environments whose alerts are of severity info."""
RUNBOOKS = "https://github.com/aurora-mesh/aurora-node-registry/blob/main/alerts/runbooks/"


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and of what the rules speak. `min_active_vram_gb`: under it capacity is low (a GB is 2^30 bytes)."""

    thresholds: Thresholds
    site: SiteRule
    min_active_vram_gb: int = 64
    job: str = "node-registry"
    runbooks: str = RUNBOOKS

    @classmethod
    def of(cls, config: Config, *, min_active_vram_gb: int) -> Setting:
        """As the registry is configured."""
        return cls(config.thresholds, config.site, min_active_vram_gb)

    @property
    def node_wait(self) -> str:
        """Nodes that fail together fall silent within one interval; two scrapes later their site's alert is out."""
        return format_duration(self.thresholds.heartbeat_interval + 2 * SCRAPE_INTERVAL)

    @property
    def warning_lasts(self) -> str:
        """How long a node is in warning before it is offline."""
        return format_duration(self.thresholds.offline_after - self.thresholds.warning_after)

    @property
    def reboot(self) -> str:
        """Who is back within twice `offline_after` was rebooted."""
        return format_duration(2 * self.thresholds.offline_after)

    @property
    def ten_beats_ns(self) -> int:
        """A window of ten heartbeats, but of no fewer than four scrapes: a rate needs samples."""
        return max(10 * self.thresholds.heartbeat_interval, 4 * SCRAPE_INTERVAL)

    def beats(self, window_ns: int = 10 * MINUTE) -> int:
        """How many heartbeats a node sends in that time."""
        return max(1, window_ns // self.thresholds.heartbeat_interval)
