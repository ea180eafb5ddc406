"""Readers of other projects, as judges of what is read and written here."""
