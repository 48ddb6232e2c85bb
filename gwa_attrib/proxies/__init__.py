"""Measures of generalisation that need no validation set, one number per epoch, and rules that choose an epoch."""

from gwa_attrib.proxies import needs_measures, of_summaries, of_trajectories, rules
from gwa_attrib.proxies.choice import Choice
from gwa_attrib.proxies.choose import choices, choose_epoch
from gwa_attrib.proxies.early_stopping import EarlyStopping
from gwa_attrib.proxies.registry import measure, proxies
from gwa_attrib.proxies.rules import stopping_rules

__all__ = [
    "Choice",
    "EarlyStopping",
    "choices",
    "choose_epoch",
    "measure",
    "needs_measures",
    "of_summaries",
    "of_trajectories",
    "proxies",
    "rules",
    "stopping_rules",
]
