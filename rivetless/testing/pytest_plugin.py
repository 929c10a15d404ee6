"""The pytest plugin that comes with the package: fixtures for tests of actors."""
