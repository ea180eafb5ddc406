"""Every promise with its figure, measured here and now: `make bench`."""

import os

# gRPC's own information lines would stand between the figures.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
