"""Several trainings at the same time on one device, on real batches."""

from benchmarks.gpu_check.children import messages, worker
from benchmarks.gpu_check.context import Context
from benchmarks.gpu_check.settings import REGULARIZERS

_SECONDS = 6.0


def measure(context: Context, count: int, deadline: float, part: str = "speed") -> None:
    """Tell the iterations/s of `count` trainings together; of four, keep the slowest one's rate in the context."""
    if "store" not in context.prepared:
        context.journal.line(part, f"{count} side by side: the store could not be prepared, see above", failed=True)
        return
    regs = REGULARIZERS if count == len(REGULARIZERS) else ("rff",) * count
    more = {} if context.cuda else {"precision": "fp32", "mode": "eager"}
    settings = {
        "store": context.prepared["store"],
        "small": context.small,
        "seconds": _SECONDS if context.cuda else 0.2,
        "workers": workers(context, count),
    }
    children = [worker("side", spec={"reg": reg, **more}, **settings) for reg in regs]
    ready, rates = 0, {}
    for child, message in messages(children, deadline, ends=True):
        if not message and child not in rates:
            break  # it is dead, and the others would wait for it
        if message.get("ready"):
            ready += 1
            if ready == count:
                for one in children:
                    one.tell("go")
        elif message:
            rates[child] = message["result"]
    problems = [problem for child in children if child not in rates for problem in [child.problem()]]
    if len(rates) < count:
        said = next((problem for problem in problems if problem != "out of time"), "out of time")
        context.journal.line(part, f"{count} side by side: {said}", failed=True)
        return
    its = [rate["per_second"] for rate in rates.values()]
    waiting = max(rate["wait_share"] for rate in rates.values())
    if count == len(REGULARIZERS):
        context.side_rate = min(its)
    text = f"{count} side by side ({', '.join(regs)}): {sum(its):.4g} it/s in all, {min(its):.4g} the slowest"
    context.journal.line(
        part, f"{text}, waiting for data {waiting:.1%} at most", count=count, per_second=its, regularizers=list(regs)
    )


def workers(context: Context, count: int) -> int:
    """Processes that read and draw, for each of so many trainings."""
    return max(1, min(8, context.cores // count - 1)) if context.cuda else 0
