"""The cellar: instances on the disk as they were received, and an index to find them by."""
