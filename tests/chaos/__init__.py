"""Breaks the whole platform in every way at moments that a seed chooses, and looks whether anything was lost or done twice."""
