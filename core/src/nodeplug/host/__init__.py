"""The host this agent runs on: its file trees, kernel events and file changes."""
