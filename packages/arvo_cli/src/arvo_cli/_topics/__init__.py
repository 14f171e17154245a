"""`arvo topics`: the topics of a transport."""
