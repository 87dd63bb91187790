"""What each wire protocol says is legal: tables, terminal events, error forms. Facts only."""
