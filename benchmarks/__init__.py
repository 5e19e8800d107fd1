"""How fast the laboratory is, on the machine at hand, beside what a user would write instead."""
