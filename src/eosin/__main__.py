"""`python -m eosin` is `eosin`."""

from eosin.cli.main import main

if __name__ == "__main__":
    main()
