"""Where items come from: places, the files and tables there, pictures, near duplicates."""
