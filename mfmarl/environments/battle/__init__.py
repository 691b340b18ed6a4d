"""Battle: two armies on MAgent2's engine. Import `game` to describe one, `battles` to play it."""
