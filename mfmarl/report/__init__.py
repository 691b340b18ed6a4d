"""The report page: tables, recordings and figures to one file of HTML that needs no network."""
