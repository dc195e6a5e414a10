"""How good what is served is: a letter by published rules, verdicts by policies, and readiness for quantum computers.

Everything here is decided from facts, rules and an instant, so the same three give the same answer at any time. What is
not known is said to be unknown: no missing fact ever makes a pass.
"""
