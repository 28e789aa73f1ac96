"""Changes of models: whether they are material, within what was declared, and what is re-validated."""
