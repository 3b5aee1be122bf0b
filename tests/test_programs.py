"""The programs of an H100 and of TPU cores, compiled without them (`make programs`)."""

import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import gpu, programs, report
from benchmarks.scaling import papers_sweeps

TEXT = """
%body (p: (s32[], f32[4,8])) -> (s32[], f32[4,8]) {
  %p = (s32[], f32[4,8]{1,0}, u8[100,4,50]{2,1,0}) parameter(0)
  %w = f32[4,8]{1,0} get-tuple-element(%p), index=1
  %x = u8[100,4,50]{2,1,0} get-tuple-element(%p), index=2
  %dot = (f32[100,100]{1,0}, s8[33554432]{0}) custom-call(%w, %x), custom_call_target="__cublas"
  %dot_fusion = f32[100,100]{1,0} get-tuple-element(%dot), index=0
  ROOT %transpose_fusion = (s32[], f32[8,4]{1,0}) fusion(%w, %dot_fusion), kind=kLoop, calls=%inner
}

%cond (p: s32[]) -> pred[] {
  %c = s32[] constant(100)
}

ENTRY %main (a: f32[4,8]) -> f32[4,8] {
  %while.1 = (s32[], f32[4,8]{1,0}) while(%a), condition=%cond, body=%body
}
"""


def test_kernels_of_a_loop_and_the_bytes_they_read_and_write():
    (loop,) = programs.loops(TEXT)
    assert loop.trips == 100
    # Of the array that leads with the steps, a step's part; f32[100,100] leads with them too.
    assert [k[2:] for k in loop.kernels] == [(400, 128 + 200), (4 + 128, 128 + 400)]


def test_a_copy_as_large_as_a_layers_weights_is_found():
    runner = SimpleNamespace(trial=SimpleNamespace(params={"kernel": np.zeros((4, 2))}))
    assert programs.moved(programs.loops(TEXT), runner, trials=4) == ["transpose_fusion"]
    assert programs.moved(programs.loops(TEXT), runner, trials=3) == []


def test_the_pages_are_made_of_their_records():
    folder = Path(programs.__file__).parent
    page = gpu.render(json.loads((folder / "gpu.json").read_text())) + "\n"
    assert page == (folder / "gpu.md").read_text()
    whole = report.page(json.loads((folder / "results.json").read_text()))
    assert page in whole and whole == (folder / "README.md").read_text()


def test_minutes_of_the_paper_on_a_gpu_are_those_of_steps_and_evaluations():
    rows = [
        # 2,000 steps an epoch of 10 networks in 1 ms, and 115,800 images of each in 1 us
        {"network": network, "rule": rule, "precision": "float32", "trials": 10}
        | {"step_ms": (1.0, 1.0, 1.0, 5), "evaluation_us": (1.0, 1.0, 1.0, 5)}
        for network, rule in programs.CASES
    ]
    epoch = 2000 * 1e-3 / 10 + 115_800e-6  # seconds, of a network
    tf32 = [row | {"precision": "default", "step_ms": (9.0, 9.0, 9.0, 5)} for row in rows]
    trained = sum(
        sweep.epochs * sweep.seeds * np.prod([np.size(v) for v in sweep.grid.values()])
        for _, sweep in papers_sweeps().values()
    )
    assert gpu.papers_minutes(rows + tf32) == pytest.approx(trained * epoch / 60)


KERNELS = dict(zip(programs.CASES, (23, 24, 37, 45), strict=True))  # of a step on an H100, at most


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("libtpu"), reason="the programs extra is not installed")
@pytest.mark.parametrize("case", programs.CASES)
@pytest.mark.parametrize("target", [*programs.TARGETS[:2], "this CPU"])
def test_no_weight_is_moved_no_device_waits_and_memory_is_forecast(target, case):
    found = programs.measure(programs.images(), *case, target)
    assert (found["collectives"], found["moved"]) == (0, [])
    assert abs(found["forecast"] / found["memory"] - 1) < 0.15
    if target == "one H100":
        assert found["kernels"] <= KERNELS[case]
