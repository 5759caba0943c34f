"""Evenly's tests, by what they need.

| folder | tests | needs |
|---|---|---|
| `unit` | one module each, mirroring the package | nothing |
| `contract` | goldens that both languages read | nothing |
| `tidy` | the rules of the house | cargo, git |
| `e2e` | promises to users, by running the real thing | the packet path, built |

`support` is what `e2e` is written with. Rust's tests stand with the crates.
"""
