// Only marks the root: each version of Kubernetes has a file of its own, kubernetes-*.mod.
module nodeplug/apiserver

go 1.24
