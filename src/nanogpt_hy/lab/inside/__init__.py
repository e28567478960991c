"""What a trained model does, as plain data."""
