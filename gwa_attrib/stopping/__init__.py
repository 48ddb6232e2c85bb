"""Measures of generalisation that need no validation set, one number per epoch, and rules that choose an epoch."""

from gwa_attrib.stopping import epoch_rules, proxy_measures
from gwa_attrib.stopping.choice import Choice
from gwa_attrib.stopping.early_stopping import EarlyStopping
from gwa_attrib.stopping.epoch_rules import choices, choose_epoch, stopping_rules
from gwa_attrib.stopping.history import measure, proxies

__all__ = [
    "Choice",
    "EarlyStopping",
    "choices",
    "choose_epoch",
    "epoch_rules",
    "measure",
    "proxies",
    "proxy_measures",
    "stopping_rules",
]
