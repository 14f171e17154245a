"""From the config of a machine to the chart that the interpreter runs."""
