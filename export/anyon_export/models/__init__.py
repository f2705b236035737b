"""PyTorch definitions of the architectures we export, one file each."""
