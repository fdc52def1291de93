"""The nouns everybody shares; standard library only."""
