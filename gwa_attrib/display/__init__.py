"""What people see while work goes on, and of a result: one line of progress, small tables, texts that hide nothing."""
