"""What the cells of panels come to in numbers, with intervals."""
