"""Measures of generalisation that need no validation set, one number per epoch, and rules that choose an epoch."""

from gwa_attrib.stopping import proxy_measures, stop_rules
from gwa_attrib.stopping.choice import Choice
from gwa_attrib.stopping.early_stopping import EarlyStopping
from gwa_attrib.stopping.history import measure, proxies
from gwa_attrib.stopping.stop_rules import choices, choose_epoch, stopping_rules

__all__ = [
    "Choice",
    "EarlyStopping",
    "choices",
    "choose_epoch",
    "measure",
    "proxies",
    "proxy_measures",
    "stop_rules",
    "stopping_rules",
]
