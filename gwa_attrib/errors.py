"""Every error gwa_attrib raises on purpose.

::

    GWAError
    ├── InputError (ValueError)            an argument or a data set is not what it has to be
    │   ├── DataError                      the data set given to `audit`
    │   ├── UnknownNameError               a name that is not registered
    │   ├── NotRecordedError               a run that was recorded without what is asked of it
    │   ├── UntrustedModelError            a run names code that nobody here has asked for
    │   └── MissingDependencyError         an optional package is not installed
    ├── RecordingError (RuntimeError)      the training loop and the recorder disagree
    │   ├── HeadError                      the head is missing, not linear, or never ran
    │   ├── StepOrderError                 `step` was called at the wrong moment
    │   ├── LossMismatchError              the loss is not the cross-entropy the closed form assumes
    │   ├── LayerError                     a layer whose per-sample gradients cannot be measured
    │   │   ├── BatchMixingError           its gradients depend on the other samples of the batch
    │   │   └── LayerMismatchError         what was captured of it disagrees with a loop over single samples
    │   └── SampleIdError                  ids out of range, or a sample whose label changed
    └── RunError (OSError)                 a run on disk
        ├── RunExistsError                 the folder is taken
        ├── NotARunError                   the folder holds no run
        └── RunFormatError                 the run is damaged or from another version

The text of an error has three parts: what was expected, what was found, what to do.
"""


class GWAError(Exception):
    """Base of all errors of this package; its text is built from ``expected``, ``found`` and ``todo``."""

    def __init__(self, *, expected: str, found: str, todo: str) -> None:
        super().__init__(expected, found, todo)
        self.expected = expected
        self.found = found
        self.todo = todo

    def __str__(self) -> str:
        return f"Expected {self.expected}. Found {self.found}. {self.todo}"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.expected, self.found, self.todo)


def _rebuild(kind: type[GWAError], expected: str, found: str, todo: str) -> GWAError:
    return kind(expected=expected, found=found, todo=todo)


class InputError(GWAError, ValueError):
    """An argument or a data set is not what it has to be."""


class DataError(InputError):
    """The data set given to `audit` cannot be audited as it is."""


class UnknownNameError(InputError):
    """A name that is not registered."""


class NotRecordedError(InputError):
    """The run was recorded without what is asked of it."""


class UntrustedModelError(InputError):
    """A run names code, and nobody here has asked for it."""


class MissingDependencyError(InputError):
    """An optional package is needed and not installed."""


class RecordingError(GWAError, RuntimeError):
    """The training loop and the recorder disagree."""


class HeadError(RecordingError):
    """The classification head is missing, not linear, or never ran."""


class StepOrderError(RecordingError):
    """`Recorder.step` was called at the wrong moment of the training loop."""


class LossMismatchError(RecordingError):
    """The loss is not the cross-entropy on the head's logits that the closed form assumes."""


class LayerError(RecordingError):
    """A layer whose per-sample gradients cannot be measured as it is used here."""


class BatchMixingError(LayerError):
    """Per-sample gradients do not exist: a layer mixes the samples of a batch."""


class LayerMismatchError(LayerError):
    """The capture of a layer disagrees with a loop over single samples."""


class SampleIdError(RecordingError):
    """Sample ids are out of range, repeated in a way that cannot be, or point at another label than before."""


class RunError(GWAError, OSError):
    """A run on disk cannot be created, read or written."""

    def __init__(self, *, expected: str, found: str, todo: str) -> None:
        super().__init__(expected=expected, found=found, todo=todo)
        # OSError takes three arguments for errno, text and file name; this one has none of them.
        self.errno = self.strerror = self.filename = None


class RunExistsError(RunError):
    """The folder for a new run is taken."""


class NotARunError(RunError):
    """The folder holds no run."""


class RunFormatError(RunError):
    """The run is damaged, or was written by an incompatible version."""
