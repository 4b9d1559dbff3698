"""Who may have a door opened: tokens, guests, and tickets of the cloud's sharing (safety F)."""
