"""Studies: experiments of several trainings and evaluations, with a report made from their files.

Each study has a module with `stages` (what runs, in order) and `report` (reads what the stages
wrote). `run` carries them out.
"""
