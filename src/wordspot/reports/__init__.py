"""Reports as self-contained HTML pages and pictures."""
