"""One adapter per area: `run(case)` calls the public API and checks what came out."""
