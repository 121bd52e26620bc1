"""Institutions train one credit model together without showing anyone their customers."""
