"""What a model is asked: templates as data, rendered without any other syntax than slots."""
