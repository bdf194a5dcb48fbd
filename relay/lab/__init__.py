"""A small internet on loopback: DNS, policy hosts and MX hosts with a CA of their own."""
