"""Runs untrusted Python in isolated processes; the verdict on a result is made outside them.

`service`   the `Sandbox`, its jobs and limits: start here
`outcomes`  the records of a run's result; `oracles` compare it with the expected value
`tiers`     the levels of isolation, and how to start a worker of each
`pool`      keeps workers; `channel` gives one a run; `answers` reads what untrusted code wrote
`guest`     the code inside the sandbox, standard library only

From a shell: `python -m data_pipeline.execution --program=FILE.py --call='f(3)'`.
"""
