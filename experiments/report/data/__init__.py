"""The tables that reports are drawn from, and what a panel of them is."""
