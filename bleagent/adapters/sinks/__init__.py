"""Where records are carried to, one module for each kind of receiver."""
