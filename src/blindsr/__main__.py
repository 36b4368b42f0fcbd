"""`python -m blindsr`: the same as `blindsr`, where that is not on the path."""

from blindsr.cli import main

if __name__ == "__main__":
    main()
