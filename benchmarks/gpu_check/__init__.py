"""Everything that a GPU can tell about this project, in one call and within a budget of time.

`python -m benchmarks.gpu_check` runs tests on the device, times training steps, looks into one, and trains SRResNet
with four regularizers side by side. It needs torch and this project's own imports, no network and no pipeline. What
works on the device works in child processes (`worker`): one that fails or takes too long costs its own line.
"""
