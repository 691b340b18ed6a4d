"""Networks; those of small games have parameters stacked over seeds."""
