"""`python -m trailkeep` is `trailkeep`."""

from trailkeep.cli import main

if __name__ == "__main__":
    main()
