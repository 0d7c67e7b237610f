"""The documented interface against the running platform: every example works, every refusal is a documented one."""
