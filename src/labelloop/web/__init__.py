"""What labelloop serves over HTTP: metrics and hints beside `watch`, and the model in use as an ML backend."""
