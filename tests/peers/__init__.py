"""Other device plugins: what their files mean."""
