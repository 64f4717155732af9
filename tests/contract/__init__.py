"""Promises of the documented interface and defects that must not come back, by their ids.

Tests anywhere under tests/ say which they hold: ``@pytest.mark.contract("L2")``, ``@pytest.mark.defect("Y8")``.
``python -m tests.contract`` lists the ids that no test carries.
"""
