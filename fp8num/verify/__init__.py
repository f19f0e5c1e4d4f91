"""Verification: exact definitions, and comparison of implementations with them."""
