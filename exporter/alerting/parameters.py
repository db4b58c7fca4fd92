"""What the rules take from a configuration, and how long they wait because of it. Durations are nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.domain.clock import MINUTE
from exporter.domain.config import Alertmanager, Config
from exporter.domain.duration import format_duration
from exporter.domain.site import SiteRule
from exporter.domain.status import Thresholds

SCRAPE_INTERVAL = Alertmanager().scrape_interval
"""As in alerts/prometheus.yml."""
RESTORED_NS = 10 * MINUTE
"""From this `for` on Prometheus restores over a restart for how long an alert has waited (its default of
`--rules.alert.for-grace-period`). A shorter one begins again, and has to end before Alertmanager resolves the alert."""
SHORT_WAIT = "2m"
"""The longest `for` below that: an alert is sent every 75 s, for 4 minutes each time, so a stop leaves 2m45s of it."""
KEPT_SCRAPES = 12
"""An alert keeps firing for this many scrapes without its series: a failed scrape or restart is no repair."""
NON_PRODUCTION = ("test", "testing", "staging", "dev", "development")
"""Environments whose alerts are of severity info."""
RUNBOOKS = "https://github.com/aurora-mesh/aurora-node-registry/blob/main/alerts/runbooks/"


@dataclass(frozen=True, slots=True)
class RuleParameters:
    """What the rules depend on. `min_active_vram_gb`: less is low capacity (a GB is 2^30 bytes); 0: no such alert."""

    thresholds: Thresholds
    site: SiteRule
    min_active_vram_gb: int = 0
    scrape_interval: int = SCRAPE_INTERVAL
    job: str = "node-registry"
    runbooks: str = RUNBOOKS

    @classmethod
    def of(cls, config: Config, *, min_active_vram_gb: int = 0) -> RuleParameters:
        """As the registry is configured."""
        return cls(config.thresholds, config.site, min_active_vram_gb, config.alertmanager.scrape_interval)

    @property
    def node_wait_ns(self) -> int:
        """Nodes that fail together go missing within one heartbeat interval; then the registry has marked them."""
        return self.thresholds.heartbeat_interval + 2 * self.scrape_interval

    @property
    def node_wait(self) -> str:
        """The same as Prometheus writes it."""
        return format_duration(self.node_wait_ns)

    @property
    def site_wait(self) -> str:
        """Sites that fail together are disrupted within one heartbeat interval; then it is the mesh's incident."""
        return format_duration(self.thresholds.heartbeat_interval)

    @property
    def keep_ns(self) -> int:
        """How long an alert keeps firing without its series."""
        return KEPT_SCRAPES * self.scrape_interval

    @property
    def keep(self) -> str:
        """The same as Prometheus writes it."""
        return format_duration(self.keep_ns)

    @property
    def lead_wait(self) -> str:
        """One more evaluation: what other groups of rules record lags by up to one."""
        return format_duration(self.scrape_interval)

    @property
    def reboot(self) -> str:
        """A node that is back within twice `offline_after` was rebooted; at least what Prometheus restores."""
        return format_duration(max(2 * self.thresholds.offline_after, RESTORED_NS))

    @property
    def ten_beats_ns(self) -> int:
        """A window of ten heartbeats, but of no fewer than four scrapes: a rate needs samples."""
        return max(10 * self.thresholds.heartbeat_interval, 4 * self.scrape_interval)

    def beats(self, window_ns: int = 10 * MINUTE) -> int:
        """How many heartbeats a node sends in that time."""
        return max(1, window_ns // self.thresholds.heartbeat_interval)
