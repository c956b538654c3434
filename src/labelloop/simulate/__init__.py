"""Would it pay on my data? Labelled data replayed as a loop: what each selector would have needed."""
