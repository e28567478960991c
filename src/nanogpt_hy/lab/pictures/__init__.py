"""Plain data as tables, pictures and a page."""
