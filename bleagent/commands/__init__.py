"""What the command line can do: each command reads arguments, asks or looks, and prints."""
