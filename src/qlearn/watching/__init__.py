"""Games as pictures: scenes, clips of whole games, films."""
