"""Readings of the CPU, the memory, the disk and the GPUs, under MLflow's own names of system metrics."""

from __future__ import annotations

from labelmint.runtime.devices import nvidia_gpus


def read() -> dict[str, float]:
    """{metric: value} of this machine, and the memory of this process with its children.

    Empty without psutil.
    """
    try:
        import psutil
    except ImportError:
        return {}
    memory = psutil.virtual_memory()
    try:
        own = psutil.Process()
        processes = [own, *own.children(recursive=True)]
        resident = sum(process.memory_info().rss for process in processes if process.is_running())
    except psutil.Error:
        resident = 0
    return {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_percentage": memory.percent,
        "system/system_memory_usage_megabytes": memory.used / 1e6,
        "system/stage_memory_megabytes": resident / 1e6,
        "system/disk_available_megabytes": psutil.disk_usage(".").free / 1e6,
        **{
            f"system/gpu_{index}_{name}": value
            for index, gpu in enumerate(nvidia_gpus())
            for name, value in gpu.readings().items()
        },
    }
