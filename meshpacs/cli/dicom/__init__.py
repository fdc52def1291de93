"""`meshpacs dicom`: what concerns DICOM's own network language; one file a command."""
