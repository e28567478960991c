"""Forms as data: sources beside their Python, differences of forms, the REPL."""
