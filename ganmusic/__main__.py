"""Run the `ganmusic` command as ``python -m ganmusic``."""

from ganmusic.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
