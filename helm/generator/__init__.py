"""Generates what the charts have in common."""
