"""Byzantine-robust federated learning for trading: the small NumPy library under the book."""

__version__ = "0.1.0"
