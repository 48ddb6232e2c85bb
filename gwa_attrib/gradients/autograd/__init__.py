"""Parameters that no layer's rule covers, found in autograd's graph."""
