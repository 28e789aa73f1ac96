"""Other tools' documents, read into seatrial's own."""
