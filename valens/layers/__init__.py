"""Where vectors are read: streams and layers (`sites`), and sets of layers."""
