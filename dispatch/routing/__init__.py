"""Routes for work that is known ahead: whole rounds with hours, windows and room aboard, made at once. Pure."""
