"""Studies: which trials people see, the page they see them on, and the server that takes votes."""
