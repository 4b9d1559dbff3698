"""Where records are carried to: each module one sink, each with its one library."""
