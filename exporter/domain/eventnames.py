"""What events are called, on the bus and in the event stream."""

from __future__ import annotations

CHANNEL = "aurora:events:global"
HEARTBEAT, REGISTER, DEREGISTER = "node_heartbeat", "node_register", "node_deregister"
"""What the registry reads from the bus."""
REGISTERED, STATUS_CHANGED = "node_registered", "node_status_changed"
DEREGISTERED, FORGOTTEN = "node_deregistered", "node_forgotten"
REGISTER_REQUESTED = "node_register_requested"
"""What it publishes."""
UPDATED, LIFECYCLE_CHANGED, AUDIT = "node_updated", "node_lifecycle_changed", "audit"
"""What the event stream has beside these."""
