"""List the ids that no test carries; exit with 1 if there are any."""

import sys

from .ids import CONTRACT, DEFECTS, carried

missing = 0
for mark, ids in (("contract", CONTRACT), ("defect", DEFECTS)):
    tests = carried(mark)
    without = [name for name in ids if name not in tests]
    unknown = sorted(set(tests) - set(ids))
    missing += len(without) + len(unknown)
    print(f"{mark}: {len(ids) - len(without)} of {len(ids)} ids have a test")
    if without:
        print(f"  without: {', '.join(without)}")
    if unknown:
        print(f"  unknown: {', '.join(unknown)}")
sys.exit(missing > 0)
