"""Which devices a container had best get: `prefer` answers GetPreferredAllocation.

Everything that can be known beforehand is worked out once per offer, so that an answer takes
milliseconds. The answer depends on its arguments alone.
"""
