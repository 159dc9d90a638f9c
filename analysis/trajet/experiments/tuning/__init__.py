"""The method of training from scratch as a protocol."""
