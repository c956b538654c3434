"""Values by their content, and the steps whose results are remembered."""
