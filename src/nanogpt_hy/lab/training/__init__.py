"""The long run: its steps, its session, its reports; every stage compared."""
