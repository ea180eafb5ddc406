"""The kubelet's side: its API, our sockets, registration, evidence of use.

gRPC and the generated code stay inside this package (and `nodeplug.testing`).
"""

import os

# gRPC's own lines are not JSON; its information would stand between ours at every shutdown.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
