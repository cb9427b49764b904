"""Pretrained encoders: networks of torchvision, Hugging Face and ImageNet behind our contract."""
