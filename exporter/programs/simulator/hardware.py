"""The GPUs that such meshes are made of, with the makers' figures."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.domain.registration import GIB


@dataclass(frozen=True, slots=True)
class GpuModel:
    """One model: memory in GB of 2^30 bytes, the power that it may draw, and what it costs where it is rented."""

    name: str
    memory_gb: int
    idle_watts: float
    max_watts: float
    usd_per_hour: float

    @property
    def memory_bytes(self) -> int:
        """All of one GPU's memory."""
        return self.memory_gb * GIB


RTX_3090 = GpuModel("RTX 3090", 24, 22, 350, 0.22)
RTX_4070_LAPTOP = GpuModel("RTX 4070 Laptop", 8, 4, 115, 0.0)
RTX_4090 = GpuModel("RTX 4090", 24, 18, 450, 0.44)
L40S = GpuModel("L40S", 48, 34, 350, 0.86)
A100 = GpuModel("A100 80GB", 80, 52, 400, 1.64)
H100 = GpuModel("H100 80GB", 80, 68, 700, 2.49)
