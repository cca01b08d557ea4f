"""How the DAG is run. It runs the stages and knows no science."""
