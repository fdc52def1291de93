"""DICOM's own network language (PS3.7, PS3.8), without I/O: bytes and time in, effects out."""
