"""Bitstreams and how they get into a port. Loaded only where something is programmed.

elf, gbs, aocx   the files' formats, in bounds whatever they hold
bitstream        any file: what it is for
ioctls           the request to either driver
programmer       everything around that request
"""
