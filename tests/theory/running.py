"""Run a model to its end."""


def ended(model):
    """What a model's run returns, and its rows."""
    run, rows = model.run(), []
    while True:
        try:
            rows.append(next(run))
        except StopIteration as stop:
            return stop.value, rows
