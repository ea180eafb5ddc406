"""A kubelet's device manager, faithful to the real one, on real sockets."""
