"""The activation store: pooled vectors on disk, content-addressed, resumable, readable by anyone with safetensors."""
