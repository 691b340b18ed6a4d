"""Jobs: their description, execution and resumption, in one process, several processes or on a cluster."""
