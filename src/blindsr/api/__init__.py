"""What `import blindsr` offers, one module for each purpose; everything is imported from `blindsr` itself."""
