"""No promise and no defect without a test, and no mark for an id that does not exist."""

import pytest

from .ids import CONTRACT, DEFECTS, carried


@pytest.mark.parametrize(("mark", "ids"), [("contract", CONTRACT), ("defect", DEFECTS)])
def test_every_id_has_a_test(mark, ids):
    assert set(carried(mark)) == set(ids)
