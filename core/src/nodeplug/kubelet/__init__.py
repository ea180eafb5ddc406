"""The kubelet's side: its API, our sockets, registration, evidence of use.

gRPC and the generated code stay inside this package (and `nodeplug.testing`).
"""
