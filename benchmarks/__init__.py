"""Speed and quality, measured side by side with peers; results are committed with their command."""
