"""Configuration: its types, its files, its errors."""
