"""Tests, in the folders of what they test; helpers are imported as tests.FOLDER.NAME."""
