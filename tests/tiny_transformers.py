"""Configs of Hugging Face's video transformers, as small as they can be: 4 frames of 32 x 32."""

from __future__ import annotations

from collections.abc import Mapping

SMALL: Mapping[str, object] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
    "num_frames": 4,
}
CONFIGS: Mapping[str, Mapping[str, object]] = {
    "vjepa2": {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "crop_size": 32,
        "patch_size": 8,
        "frames_per_clip": 4,
        "tubelet_size": 2,
        "mlp_ratio": 2.0,
        "pred_hidden_size": 24,
        "pred_num_attention_heads": 2,
        "pred_num_hidden_layers": 1,
    },
    "videomae": {**SMALL, "tubelet_size": 2},
    "timesformer": SMALL,
    "vivit": {**SMALL, "tubelet_size": [2, 8, 8]},
}
