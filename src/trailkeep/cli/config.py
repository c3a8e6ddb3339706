"""`trailkeep config`."""
