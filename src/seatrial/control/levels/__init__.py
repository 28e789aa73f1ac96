"""What answers below a model's versions: rules, people, a banner."""
