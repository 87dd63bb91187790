"""Makes every function of the library raise, one at a time, while a call runs."""
