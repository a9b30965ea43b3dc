"""`python -m sleuth` is `sleuth`."""

from sleuth.cli import main

if __name__ == "__main__":
    main()
