"""Reading the evidence: violation records and delivery logs. Never decides anything about mail."""
