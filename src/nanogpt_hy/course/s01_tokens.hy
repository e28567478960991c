"Step 1: a text becomes numbers, one for each distinct character.

This is the simplest of many schemes. Others know longer pieces and so write
shorter sequences: bytes, words, or the byte-pair pieces of GPT-2, which has
50,257 of them where Shakespeare needs 65 characters."

(defclass CharTokenizer []
  "Text <-> ids: a character's id is its place in the sorted list of the text's
  characters."

  (defn __init__ [self text]
    (setv self.chars      (sorted (set text))
          self.vocab-size (len self.chars)
          self.ids        (dfor  [id char] (enumerate self.chars)  char id)))

  (defn encode [self text]
    "text -> list of ids
    ; (.encode (CharTokenizer \"abba\") \"bab\") => [1, 0, 1]"
    (lfor  char text  (get self.ids char)))

  (defn decode [self ids]
    "ids -> text
    ; (.decode (CharTokenizer \"abba\") [1 0 1]) => 'bab'"
    (.join "" (lfor  id ids  (get self.chars id)))))
