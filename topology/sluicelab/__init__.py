# SPDX-License-Identifier: BSD-3-Clause
"""The lab: network namespaces with real clients, an edge, connectors and an origin."""
