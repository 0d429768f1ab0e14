"""A plan: what publishing the files would change, before it is published. docs/plan.md says the same in plain words.

What differs (``engine.rulefiles.differences``), whom each rule would reach (``reach``), the groups of its experiment
(``groups``), what speaks against publishing (``objections``), and the file that is applied later (``plan_file``).
Nothing here writes to the database.
"""
