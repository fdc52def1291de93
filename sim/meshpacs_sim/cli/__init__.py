"""`meshpacs-sim`: one file a command, imported when it is run."""
