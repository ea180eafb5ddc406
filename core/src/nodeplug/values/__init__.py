"""Immutable facts: devices, inventories, container edits, resource names, errors."""
