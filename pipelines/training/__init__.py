"""Training of CNN distorters."""
