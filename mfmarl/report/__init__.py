"""Makes the report page: one HTML file with tables, recordings and figures, which needs no network."""
