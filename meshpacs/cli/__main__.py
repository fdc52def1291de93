"""`python -m meshpacs.cli`, the same as `meshpacs`."""

from meshpacs.cli.main import main

main()
