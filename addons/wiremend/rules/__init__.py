"""The types of rules, findings and places. The rules are in the modules that implement them."""
