"Text <-> ids: what all tokenizers have in common, for long texts and for ids that come one by one."

(import  codecs
         re
         numpy :as np
         nanogpt-hy.errors [RequestError])

(setv CHUNK 1,000,000       ; characters encoded at once
      NAMED 5               ; so many unknown characters are named in an error
      CUT   (re.compile r"(?<=[!-~])(?=[ \n])"))


;;; Texts as arrays

(defn codes [text]
  "text -> (N): the code points of its characters."
  (if (.isascii text)
    (np.frombuffer (.encode text "ascii") "uint8")
    (np.frombuffer (.encode text "utf-32-le" "surrogatepass") "<u4")))

(defn real [codes]
  "(N) -> (N): which code points UTF-8 can write: all but the halves of surrogate pairs."
  (| (< codes 0xd800) (> codes 0xdfff)))

(defn chunks [text]
  "text -> texts: the same in parts, cut where GPT-2's pieces never go across: before white space
  that follows something else."
  (setv start 0)
  (while (< start (len text))
    (setv found (.search CUT text (+ start CHUNK))
          end   (if found (.start found) (len text)))
    (yield (cut text start end))
    (setv start end)))


;;; What a tokenizer knows

(defn unknown-characters [tokenizer text]
  "-> [#(character place)]: what of TEXT the tokenizer cannot encode. For bytes and pieces that is
  nothing that a file or a keyboard gives: only halves of surrogate pairs."
  (setv unknown []
        start   0)
  (for [part (chunks text)]
    (for [place (np.flatnonzero (np.logical-not (.knows tokenizer (codes part))))]
      (.append unknown #((get part place) (+ start (int place)))))
    (setv start (+ start (len part))))
  unknown)

(defn known-text [tokenizer text what way-out * [skip False]]
  "str -> str: TEXT, if TOKENIZER can encode it, or what it can encode of it (SKIP). RequestError
  says of WHAT it is which characters are unknown, each with its first place, and the WAY-OUT."
  (setv places {})
  (for [[char place] (unknown-characters tokenizer text)]
    (.setdefault places char place))
  (when (and places (not skip))
    (setv named (lfor  [char place] (cut (list (.items places)) NAMED)  f"{char !r} at {place}")
          more  (- (len places) (len named)))
    (raise (RequestError
      (+ f"{what} has characters that the model never saw, counted from 0: {(.join ", " named)}"
         (if more f" and {more} more" "") f": {way-out}"))))
  (if places
    (.join "" (gfor  char text  :if (not-in char places)  char))
    text))


;;; Text to ids

(defn encode-array [tokenizer text]
  "text -> (N) ids, in the narrowest of uint8, uint16 and uint32 that holds the vocabulary.
  RequestError names the first unknown character."
  (setv unknown (unknown-characters tokenizer text)
        kind    (np.min-scalar-type (- tokenizer.vocab-size 1)))
  (when unknown
    (setv [char place] (get unknown 0))
    (raise (RequestError (+ f"the tokenizer does not know the character {char !r}, at {place} of "
                            "the text: leave it out, or train with --tokenizer byte"))))
  (np.concatenate [(np.zeros 0 kind)
                   #* (gfor part (.parts tokenizer text)
                            (np.asarray (.array tokenizer part) kind))]))

(defclass Tokenizer []
  "What all kinds have in common."
  (defn encode [self text]
    "text -> list of ids"
    (.tolist (encode-array self text)))

  (defn decode [self ids]
    "ids -> text; bytes that are no UTF-8 come out as replacement characters."
    (.decode (.join b"" (map self.pieces ids)) "utf-8" "replace"))

  (defn knows [self codes]
    "(N) -> (N): whether these code points can be encoded."
    (real codes))

  (defn parts [self text]
    "text -> texts: it, cut where that changes no id."
    (chunks text)))


;;; Ids to text, as they come

(defclass Decoder []
  "Text from ids that come one by one. A character comes out when its last byte is there."
  (defn __init__ [self tokenizer]
    (setv self.tokenizer tokenizer
          self.bytes     ((codecs.getincrementaldecoder "utf-8") "replace")))

  (defn feed [self id]
    "id -> text: what is complete now and was not before."
    (.decode self.bytes (.pieces self.tokenizer id)))

  (defn end [self]
    "-> text: what is left; half a character as a replacement character."
    (.decode self.bytes b"" True)))

(defn decoder [tokenizer]
  "-> an object whose (.feed id) and (.end) give the TOKENIZER's text as far as it is complete."
  (Decoder tokenizer))
