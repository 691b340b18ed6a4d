"""Networks, their parameters stacked over seeds where they are small."""
