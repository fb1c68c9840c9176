"""The checker: a judge from outside, that shares no code with what it judges."""

VERSION = "1"
"""Raised whenever a rule counts otherwise than before, so that two reports can be compared."""
