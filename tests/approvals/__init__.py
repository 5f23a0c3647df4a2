"""Rows can be made as soon as a conftest is read, also when it is the first one read."""

import django

django.setup()
