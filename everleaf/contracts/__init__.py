"""What the services can be asked: a module for each, with a function for each operation of its contract."""
