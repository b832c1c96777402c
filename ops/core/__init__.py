"""What every op shares: its declaration, cases, inputs, guard, implementations and devices."""
