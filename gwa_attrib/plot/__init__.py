"""Pictures of a run, of scores and of comparisons: one function each, which draws on axes and returns them.

    gwa.plot.alignments(run)                          # in a notebook: a new figure
    gwa.plot.data_map(run, ax=axes)                   # on axes of yours, without pyplot
    gwa.plot.write_figures(run, "figures")            # all of them, as SVG and PNG

Texts of the data are drawn as they are: no mathematics is read into them, and nothing hides in them. Nothing of
matplotlib's global settings is changed.
"""

from gwa_attrib.plot.epochs import stopping, trajectories
from gwa_attrib.plot.histograms import alignments, label_scores
from gwa_attrib.plot.mapping import data_map
from gwa_attrib.plot.noise import noise_matrix
from gwa_attrib.plot.removal import removal_curves
from gwa_attrib.plot.written import Figures, write_figures

__all__ = [
    "Figures",
    "alignments",
    "data_map",
    "label_scores",
    "noise_matrix",
    "removal_curves",
    "stopping",
    "trajectories",
    "write_figures",
]
