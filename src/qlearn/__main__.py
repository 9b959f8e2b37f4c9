"""`python -m qlearn` is `qlearn`."""

from qlearn.cli.main import main

raise SystemExit(main())
