"""What the TVM export refuses."""

from __future__ import annotations


class UnsupportedProgramError(ValueError):
    """A program with an op, a shape or an attribute that has no kernel here; says which."""
