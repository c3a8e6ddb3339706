"""Trailkeep keeps a Scaleway Organization's Audit Trail for years and answers forensic questions over it."""

__version__ = "0.1.0"
