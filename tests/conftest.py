"""For all tests."""


def pytest_collection_modifyitems(items):
    """Begins with the longest test, so that no worker is left alone with it in the end."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")
