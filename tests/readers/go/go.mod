// Only marks the root: each version of the CDI library has a file of its own, cdi-*.mod.
module nodeplug/tests/readers

go 1.23
