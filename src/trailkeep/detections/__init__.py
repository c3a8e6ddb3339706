"""Detections: saved queries whose rows are findings, run together, each finding told once."""
