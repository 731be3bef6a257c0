"""Language models: what every method is given."""

import os

# Threads that wait for one another spin before they sleep; by default so long that a second busy process on the same
# cores slows decoding tenfold and more. 2,000 turns cost nothing on an idle machine (two cores, 270M model, 32 rows:
# 330 tokens/s against 322) and keep a shared one usable (94 against less than 10). Only read when torch is loaded.
# Where two threads have used torch (an audit's engine beside the thread that loaded the model) GNU OpenMP counts more
# threads than cores and spins a hundred turns at most, which slowed the engine by half; "active" lifts that to 2,000.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
    os.environ.update(OMP_WAIT_POLICY="active", GOMP_SPINCOUNT="2000")
