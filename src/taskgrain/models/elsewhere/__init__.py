"""Encoders from elsewhere: networks of torchvision and Hugging Face behind our contract."""
