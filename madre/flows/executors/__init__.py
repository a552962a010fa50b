"""What does the steps of plans: one executor for each registered action, one module for whoever does them."""
