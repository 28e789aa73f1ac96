"""The demo on real data: a year of flights, the models a team trains on them, and the app that serves them."""
