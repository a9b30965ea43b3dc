"""Order given candidates anew: strategies that decide what to compare, judges that compare."""
