"""python -m boresight"""

import sys

from boresight.cli import main

sys.exit(main())
