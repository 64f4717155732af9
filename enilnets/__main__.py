"""``python -m enilnets`` is the command ``enilnets``."""

from .cli import main

raise SystemExit(main())
