"""Whether a command that a test starts hears SIGINT."""

# Before a command: starts it as a script does in the background, with SIGINT ignored.
IN_BACKGROUND = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
