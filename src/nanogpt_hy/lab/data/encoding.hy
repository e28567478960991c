"Text <-> ids: what all tokenizers have in common, for long texts and for ids that come one by one."

(import  codecs
         re
         numpy :as np
         nanogpt-hy.errors [RequestError])

(setv CHUNK      200,000        ; characters encoded at once
      MOST-UNCUT 20,000,000     ; so many without a place to cut are too many
      NAMED      5              ; so many unknown characters are named in an error
      NO-TOKEN   (.encode "\ufffd" "utf-8")           ; what an id that is none comes out as
      CUT        (re.compile r"(?<=\S)(?=[ \n])")
      LAST-CUT   (re.compile r".*(?<=\S)(?=[ \n])" re.DOTALL))


;;; Texts as arrays

(defn codes [text]
  "text -> (N): the code points of its characters."
  (if (.isascii text)
    (np.frombuffer (.encode text "ascii") "uint8")
    (np.frombuffer (.encode text "utf-32-le" "surrogatepass") "<u4")))

(defn real [codes]
  "(N) -> (N): which code points UTF-8 can write: all but the halves of surrogate pairs."
  (| (< codes 0xd800) (> codes 0xdfff)))

(defn slices [text]
  "text -> texts: the same in parts of CHUNK characters."
  (gfor  start (range 0 (len text) CHUNK)  (cut text start (+ start CHUNK))))

(defn chunks [texts]
  "texts -> texts: the same, cut where GPT-2's pieces never go across: before white space that
  follows something else."
  (setv rest "")
  (for [text texts]
    (setv rest  (+ rest text)
          found (.match LAST-CUT rest)
          end   (if found (.end found) 0))
    (when end
      (yield (cut rest end)))
    (setv rest (cut rest end None))
    (when (> (len rest) MOST-UNCUT)
      (raise (RequestError (+ f"the text has {MOST-UNCUT :,} characters without white space "
                              "between them, too many for BPE: use --tokenizer byte or char")))))
  (when rest
    (yield rest)))


;;; What a tokenizer knows

(defn unknown-characters [tokenizer text]
  "-> [#(character place)]: what of TEXT the tokenizer cannot encode. For bytes and pieces that is
  nothing that a file or a keyboard gives: only halves of surrogate pairs."
  (lfor  place (np.flatnonzero (np.logical-not (.knows tokenizer (codes text))))
         #((get text place) (int place))))

(defn first-places [tokenizer texts]
  "texts -> {character: place}: what the tokenizer cannot encode, and where each is met first."
  (setv places {}
        start  0)
  (for [text texts]
    (for [[char place] (unknown-characters tokenizer text)]
      (.setdefault places char (+ start place)))
    (setv start (+ start (len text))))
  places)

(defn refuse-unknown [places what way-out]
  "{character: place} -> never: the RequestError about the unknown characters of WHAT."
  (setv named (lfor  [char place] (cut (list (.items places)) NAMED)  f"{char !r} at {place}")
        more  (- (len places) (len named)))
  (raise (RequestError
    (+ f"{what} has characters that the model never saw, counted from 0: {(.join ", " named)}"
       (if more f" and {more} more" "") f": {way-out}"))))

(defn known-text [tokenizer text what way-out * [skip False]]
  "str -> str: TEXT, if TOKENIZER can encode it, or what it can encode of it (SKIP). RequestError
  says of WHAT it is which characters are unknown, each with its first place, and the WAY-OUT."
  (setv places (first-places tokenizer (slices text)))
  (when (and places (not skip))
    (refuse-unknown places what way-out))
  (if places
    (.join "" (gfor  char text  :if (not-in char places)  char))
    text))


;;; Text to ids

(defn id-kind [tokenizer]
  "-> the narrowest of uint8, uint16 and uint32 that holds every id of the tokenizer."
  (np.min-scalar-type (max 0 (- tokenizer.vocab-size 1))))

(defn encoded [tokenizer texts]
  "texts -> (N)... ids of their tokens, part by part. RequestError names the first unknown
  character."
  (setv kind  (id-kind tokenizer)
        start 0)
  (for [text (.parts tokenizer texts)]
    (try
      (setv ids (np.asarray (.array tokenizer text) kind))
      (except [ValueError]
        (setv [char place] (get (unknown-characters tokenizer text) 0))
        (raise (RequestError
                 (+ f"the tokenizer does not know the character {char !r}, at {(+ start place)} of "
                    "the text: leave it out, or train with --tokenizer byte"))
               :from None)))
    (setv start (+ start (len text)))
    (yield ids)))

(defn encode-array [tokenizer text]
  "text -> (N) ids, as narrow as encoded's. RequestError names the first unknown character."
  (np.concatenate [(np.zeros 0 (id-kind tokenizer)) #* (encoded tokenizer (slices text))]))

(defclass Tokenizer []
  "What all kinds have in common. Each brings (.array self text): its ids, or a ValueError where
  something in it is unknown."
  (setv whole False)          ; whether a text must be encoded as a whole, not part by part

  (defn encode [self text]
    "text -> list of ids"
    (.tolist (encode-array self text)))

  (defn decode [self ids]
    "ids -> text; bytes that are no UTF-8 come out as replacement characters."
    (.decode (.join b"" (map self.pieces ids)) "utf-8" "replace"))

  (defn knows [self codes]
    "(N) -> (N): whether these code points can be encoded."
    (real codes))

  (defn parts [self texts]
    "texts -> texts: the same, cut where that changes no id."
    texts))


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
