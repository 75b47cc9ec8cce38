"""`python -m signal_gateway`: the same as `signal-gateway`."""

from signal_gateway.cli import main

if __name__ == "__main__":
    main()
