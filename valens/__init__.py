"""valens: which layers of a language model, and which of its internal vectors, carry the meaning of a text?"""
