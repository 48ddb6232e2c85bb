"""Texts that try to break out of where they are written, and plain names beside them."""

NAMES = ("cat", "dog", "heron", "newt", "wasp")
EVIL = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    r"$\frac{a}{$",
    "=cmd|' /C calc'!A0",
    "\u202eright-to-left\u0000",
    "{{ 7 * 7 }}&amp;<b>",
    "-1",
)
EVIL_METRIC = "$<b>x</b>^2$_accuracy"
