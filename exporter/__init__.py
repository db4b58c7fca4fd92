"""Aurora Node Registry: a Prometheus-native registry for GPU meshes outside Kubernetes."""

__version__ = "0.1.0"
