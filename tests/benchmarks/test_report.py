"""What is shown of a run whose times were made up."""

from benchmarks.contestants import CONTESTANTS, OURS
from benchmarks.neighbour import column
from benchmarks.neighbour import table as neighbour_table
from benchmarks.report import tables
from benchmarks.scaling import draw, number
from benchmarks.scaling import tables as scaling_tables

LIMITS = {
    "rates": {"float32": {"baseline": 50.0, "avx2": 100.0}, "float64": {"baseline": 25.0}},
    "peak float32": 100.0,
    "peak float64": 25.0,
    "peak measured by": "hand",
    "bandwidth": 10.0,
    "other_work": 0.05,
}


def timing(median):
    return {"median": median, "low": 0.9 * median, "high": 1.1 * median}


def shown(name, *, memory=None, **found):
    """The rows of times and of memory of one workload, as dicts from the header; JAX is not installed."""
    nothing = dict(times={}, memory_mb=memory or {}, other_work=None, failed={}, first_results={}, calls=7)
    found = {**nothing, "disagree": [], "not_falling": [], **found}
    run = {"threads": {"1": {"limits": LIMITS, "notes": {"JAX": "missing: jax"}, "results": {name: found}}}}
    times, sizes = tables(run)
    return (
        dict(zip(times.rows[0], times.rows[1], strict=True)),
        dict(zip(sizes.rows[0], sizes.rows[1], strict=True)),
        times.remarks,
    )


def test_a_product_shows_its_share_of_the_peak():
    # 2 x 512^3 = 268,435,456 operations in 4 ms are 67 GFLOP/s.
    row, _, remarks = shown("matmul_512x512x512", times={OURS: timing(4000.0), "PyTorch": timing(5000.0)})
    assert row[OURS] == "4000 (20%)"
    assert row["ahead"] == "1.25x"
    assert row["limit"] == "67 GFLOP/s, 67% (goal 85%)"
    assert (row["goal us"], row["goal x"]) == ("", "")
    assert remarks[0] == "peak GFLOP/s (hand): float32 baseline 50, avx2 100; float64 baseline 25; memory 10 GB/s"


def test_a_missing_package_is_a_dash_and_what_cannot_be_done_stays_empty():
    row, sizes, remarks = shown("matmul_512x512x512", times={OURS: timing(4000.0)}, memory={OURS: 3.14, "NumPy": None})
    assert row["JAX"] == sizes["JAX"] == "-"
    assert row["sklearn"] == sizes["sklearn"] == row["ahead"] == ""
    assert (sizes[OURS], sizes["NumPy"]) == ("3.1", "")
    assert "JAX: missing: jax" in remarks


def test_what_others_disturbed_is_named():
    _, _, remarks = shown("adam_step_10M", times={OURS: timing(28000.0)}, other_work=1.234)
    assert remarks[-1] == "adam_step_10M: others used 1.23 processors meanwhile; do not quote this"
    assert not any("these limits" in remark for remark in remarks)


def test_who_does_other_work_is_marked_and_no_yardstick():
    row, _, remarks = shown(
        "cnn_train_mnist_b64",
        times={OURS: timing(100.0), "PyTorch": timing(150.0), "compile": timing(50.0)},
        disagree=["compile"],
        first_results={"compile": [1.0]},
    )
    assert row["compile"] == "50.0* (20%)"
    assert row["ahead"] == "1.50x"
    assert "* cnn_train_mnist_b64: compile gives other results: {'compile': [1.0]}" in remarks


def test_a_failure_is_shown_with_its_reason():
    row, _, remarks = shown("adam_step_10M", times={OURS: timing(28000.0)}, failed={"compile": "no g++"})
    assert row["compile"] == "failed"
    assert row["limit"] == "10 GB/s, 100%"
    assert "adam_step_10M: compile failed: no g++" in remarks


def test_every_contestant_has_a_column():
    row, sizes, _ = shown("rl_net_act_4_64_64_2_b1", times={OURS: timing(2.0)})
    assert set(CONTESTANTS) <= set(row)
    assert set(CONTESTANTS) <= set(sizes)
    assert row["limit"] == "7 calls"


def test_speed_beside_a_neighbour_is_relative_to_one_thread_without():
    ours = {column(1, False): timing(80.0), column(2, False): timing(50.0), column(2, True): timing(100.0)}
    found = {
        "times": {"w": {OURS: ours, "PyTorch": {}}},
        "notes": {"PyTorch": "missing: torch"},
        "other_work": {"w": 0.5},
    }
    table = neighbour_table(found)
    assert table.rows[1] == ["w", OURS, "80 (20%)", "50 (20%)", "100 (20%)", "0.80"]
    assert table.rows[2] == ["w", "PyTorch", "-", "-", "-", "-"]
    assert table.remarks[1:] == [
        "PyTorch: missing: torch",
        "w: others used 0.50 processors meanwhile; do not quote this",
    ]


def test_a_scaling_table_leaves_out_who_cannot_do_the_work():
    lines = {"enilnets, 1 thread": {8: 1.234, 16: 5.0}, "NumPy, 1 thread": {}}
    (table,) = scaling_tables({"curves": {"conv_infer": lines}})
    assert table.rows[0][:3] == ["us per sample, image side", "8", "16"]
    assert table.rows[1][:4] == ["enilnets, 1 thread", "1.23", "5.00", ""]
    assert len(table.rows) == 2


def test_the_picture_has_a_panel_for_every_curve(tmp_path):
    lines = {"enilnets, 1 thread": {8: 1.0, 16: 3.0}, "PyTorch, 2 threads": {8: 2.0, 16: 1e4}, "NumPy, 1 thread": {}}
    path = tmp_path / "images" / "scaling.png"
    draw({"curves": dict.fromkeys(("mlp_infer", "dense_infer", "conv_infer"), lines)}, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_numbers_keep_three_digits():
    assert [number(x) for x in (0.01234, 1.0, 12.34, 123.4, 1234.5, None)] == [
        *("0.0123", "1.00", "12.3", "123", "1234", "")
    ]
