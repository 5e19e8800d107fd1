"""Pictures. What takes ``ax`` draws on axes that its caller owns; nothing is saved or shown."""
