"""Per-sample gradients of every layer, as products with the weights and norms."""

from gwa_attrib.capture.layers import activation, convolution, embedding, linear, normalization
from gwa_attrib.capture.layers.capture import LayerCapture
from gwa_attrib.capture.layers.plan import Plan, make_plan

__all__ = ["LayerCapture", "Plan", "activation", "convolution", "embedding", "linear", "make_plan", "normalization"]
