# SPDX-License-Identifier: BSD-3-Clause
"""The whole path over IPv6 outside."""
from path_cases import *  # noqa: F401,F403

SHAPE = {'clients': 1, 'connectors': 1, 'workers': 1, 'outer': 6}
