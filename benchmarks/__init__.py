"""Every promise with its figure, measured here and now: `make bench`."""
