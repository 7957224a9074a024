"""`python -m fesolver` is `fesolver`."""

from fesolver.cli import main

if __name__ == "__main__":
    main()
