"""Battle: two armies on MAgent2's engine. Module `game` describes the game, module `battles` plays it."""
