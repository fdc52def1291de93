"""The DICOM front door: sockets, associations and services for the clinic's own machines."""
