"""meshpacs: every clinic keeps its own archive; together they act as one."""

__version__ = "0.1.0"
