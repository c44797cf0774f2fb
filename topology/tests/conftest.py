# SPDX-License-Identifier: BSD-3-Clause
"""What every end-to-end test starts from: a lab per file, and the books checked after each test."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.environ.setdefault('LAB', 'sltest')

from labtest import LabTest  # noqa: E402


@pytest.fixture(scope='module')
def lab(request):
    """A lab for one file: SHAPE in the file says what `lab up` is given. Always torn down."""
    shape = dict(getattr(request.module, 'SHAPE', {}))
    bench = LabTest(**shape)
    missing = bench.missing_program()
    if missing:
        pytest.skip(f'{missing} is not built')
    bench.up()
    try:
        yield bench
    finally:
        bench.down()


@pytest.fixture(autouse=True)
def books(request):
    """After every test: received = forwarded + kernel + consumed + dropped, once traffic rests."""
    yield
    if 'lab' in request.fixturenames and request.node.get_closest_marker('no_books') is None:
        request.getfixturevalue('lab').check_books()


def pytest_configure(config):
    config.addinivalue_line('markers', 'no_books: the test ends with the edge down, so there are no books to check')
