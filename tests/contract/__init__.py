"""What both languages agree on: goldens that the Python tests write and the Rust tests read."""
