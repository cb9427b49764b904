"""Label grains: templates, the taxonomy over them, caption forms and the vocabulary. No torch."""
