"""A kubelet's device manager, faithful to the real one, on real sockets."""

import nodeplug.kubelet  # noqa: F401 - it quiets gRPC, which must happen before gRPC is loaded
