"""Every selector that comes with labelloop keeps the public contract."""

from __future__ import annotations

import pytest

from labelloop.protocols import Selector
from labelloop.selection import SELECTORS
from labelloop.testing.selector import SelectorContract


@pytest.fixture(params=sorted(SELECTORS))
def selector(request: pytest.FixtureRequest) -> Selector:
    return SELECTORS[request.param]


class TestEverySelector(SelectorContract):
    pass
