"""What can be asked, and what answers say: labels, what becomes of them when they change, who is to be believed."""
