"""gwa_attrib: find mislabelled training samples, and more, from one training run.

    with gwa.record(model, "runs/a", num_samples=len(train_set)) as recorder: ...   # listens while a model trains
    run = gwa.open_run("runs/a")                                                     # trajectories of every sample
    gwa.rank(run, "mislabeled").to_frame()                                           # suspects
    gwa.audit("digits", out="runs/digits")                                           # all of it, from data to report

The public names are those of ``__init__.pyi``. Each is imported when it is first used: ``import gwa_attrib`` costs next
to nothing.
"""

import lazy_loader

from gwa_attrib._moved import lead_on
from gwa_attrib._version import __version__ as __version__

# A public function may not bear the name of a module or folder beside this file: importing that module would put it
# in the function's place.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

lead_on()
