"""Rules that no compiler holds: sizes, names, walls, documents. Each test reads the tree and names what breaks a rule.

An exemption is a line in `exemptions.txt` with its reason; one that exempts nothing fails too. Start in `tree.py`.
"""
