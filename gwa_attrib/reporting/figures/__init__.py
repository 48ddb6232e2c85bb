"""Pictures of the report: a figure as SVG inside the page."""
