"""`python -m rocmoe`, the same program as the `rocmoe` command."""

from rocmoe.cli.app import main

main()
