"""Hook: exits. How processes end."""
