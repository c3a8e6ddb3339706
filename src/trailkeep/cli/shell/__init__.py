"""`trailkeep shell`: an interactive SQL prompt over the same guard and the same engine as `query`."""

from trailkeep.cli.shell import command as _command  # noqa: F401 - registers the command
