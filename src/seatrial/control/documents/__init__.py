"""What is stored, as documents and pages for people and machines."""
