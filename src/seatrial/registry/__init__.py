"""What is released: models, their numbered versions, where a version came from, and the stages it goes through."""
