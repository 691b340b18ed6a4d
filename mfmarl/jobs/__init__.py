"""A job: described, done, resumed, and spread over processes or a cluster."""
