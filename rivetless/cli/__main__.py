"""``python -m rivetless.cli``."""

import sys

from rivetless.cli.main import main

sys.exit(main())
