"Tokenizers: text <-> ids, by characters, by bytes, or by pieces that were learned from a text.

Each one has .vocab-size, .encode (text -> list of ids), .decode (ids -> text), .pieces (id -> the
bytes it stands for) and .state, the JSON object that a checkpoint keeps it in:

  kind char, with chars    the course's CharTokenizer
  kind byte                the 256 bytes of UTF-8
  kind bpe, with json      byte-pair pieces as GPT-2's, which fit any text; the JSON is what the
                           library `tokenizers` writes as tokenizer.json

The library is imported where pieces are, and torch only where the course is."

(eval-when-compile
  (require hyrule [-> unless]))
(import  codecs
         json
         os
         pathlib [Path]
         re
         numpy :as np
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.files [read-bytes short]
         nanogpt-hy.lab.metadata [character])

(setv MOST-JSON   20,000,000       ; bytes: GPT-2's has two million
      MOST-PIECES 1,000,000
      CHUNK       1,000,000        ; characters encoded at once
      NAMED       5                ; so many unknown characters are named in an error
      WAY-OUT     "use char, byte, bpe:N, or a folder with the tokenizer.json of a GPT-2")

;;; Texts as arrays

(defn codes [text]
  "text -> (N): the code points of its characters."
  (if (.isascii text)
    (np.frombuffer (.encode text "ascii") "uint8")
    (np.frombuffer (.encode text "utf-32-le" "surrogatepass") "<u4")))

(defn real [codes]
  "(N) -> (N): which code points UTF-8 can write: all but the halves of surrogate pairs."
  (| (< codes 0xd800) (> codes 0xdfff)))

(setv CUT (re.compile r"(?<=[!-~])(?=[ \n])"))

(defn chunks [text]
  "text -> texts: the same in parts, cut where GPT-2's pieces never go across: before white space
  that follows something else."
  (setv start 0)
  (while (< start (len text))
    (setv found (.search CUT text (+ start CHUNK))
          end   (if found (.start found) (len text)))
    (yield (cut text start end))
    (setv start end)))

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

;;; The kinds

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

(defclass Characters [Tokenizer]
  "The course's CharTokenizer of TEXT, with a table to encode long texts by."
  (defn __init__ [self text]
    (import nanogpt-hy.course [CharTokenizer])       ; only now: it loads torch
    (setv self.course     (CharTokenizer text)
          self.chars      self.course.chars
          self.vocab-size self.course.vocab-size
          self.table      (np.full 0x110000 -1 "int32"))
    (setv (get self.table (codes (.join "" self.chars))) (np.arange self.vocab-size)))

  (defn array [self text]
    (get self.table (codes text)))

  (defn knows [self codes]
    (>= (get self.table codes) 0))

  (defn pieces [self id]
    (.encode (get self.chars id) "utf-8"))

  (defn decode [self ids]
    (.decode self.course ids))

  (defn state [self]
    {"kind" "char"  "chars" (list self.chars)}))

(defclass Bytes [Tokenizer]
  "The bytes of UTF-8: they write any text, and there are only 256."
  (setv vocab-size 256)

  (defn array [self text]
    (np.frombuffer (.encode text "utf-8") "uint8"))

  (defn pieces [self id]
    (bytes [id]))

  (defn state [self]
    {"kind" "byte"}))

(defclass Pieces [Tokenizer]
  "The byte-pair pieces of a tokenizer.json, which came from SOURCE."
  (defn __init__ [self text [source "the tokenizer"]]
    (setv parts           (bpe-parts (parse-json text source) source)
          self.json       (bpe-json #* parts)
          self.bytes      (piece-bytes parts)
          self.vocab-size (+ 1 (max self.bytes))
          self.model      (bpe-model self.json parts source)
          self.whole      (any (gfor token (get parts 2) (.search CUT (get token "content"))))))

  (defn parts [self text]
    (if self.whole [text] (chunks text)))

  (defn array [self text]
    (. (.encode self.model text :add-special-tokens False) ids))

  (defn pieces [self id]
    (.get self.bytes id (.encode "\ufffd" "utf-8")))

  (defn state [self]
    {"kind" "bpe"  "json" self.json}))

;;; A tokenizer.json, which may be a stranger's

(defn refuse [source fact [way-out WAY-OUT]]
  "Raise the RequestError about what came from SOURCE."
  (raise (RequestError f"{source} {fact}: {way-out}")))

(defn parse-json [text source]
  "text -> dict"
  (when (> (len text) MOST-JSON)
    (refuse source f"has {(len text) :,} characters of JSON, more than {MOST-JSON :,}"))
  (try
    (setv value (json.loads text))
    (except [[ValueError RecursionError]]
      (refuse source "has JSON that cannot be read")))
  (unless (isinstance value dict)
    (refuse source "is no JSON object"))
  value)

(defn byte-alphabet []
  "-> {character: byte}: how GPT-2 writes bytes as characters that can be seen
  (https://github.com/openai/gpt-2, src/encoder.py)."
  (setv visible [#* (range 33 127)  #* (range 161 173)  #* (range 174 256)]
        hidden  (lfor  b (range 256)  :if (not-in b visible)  b))
  {#** (dfor  b visible  (chr b) b)
   #** (dfor  [i b] (enumerate hidden)  (chr (+ 256 i)) b)})

(setv ALPHABET (byte-alphabet))

(defn id-number [value]
  "Whether VALUE may be a token's id."
  (and (is (type value) int) (< -1 value MOST-PIECES)))

(defn part-of [spec key kind]
  "What the dict SPEC has at KEY, if it is of KIND; else an empty one."
  (setv value (.get spec key))
  (if (isinstance value kind) value (kind)))

(defn gpt2-problem [spec]
  "Why a tokenizer.json is not of GPT-2's kind, or None. What is not looked at here has no part in
  encoding without special tokens."
  (setv model (part-of spec "model" dict)
        pre   (part-of spec "pre_tokenizer" dict))
  (cond
    (!= (.get model "type") "BPE")
    f"has a model of the type {(short (.get model "type"))}, not BPE"
    (not (isinstance (.get model "merges") list))
    "has no list of merges"
    (not (and (= (.get pre "type") "ByteLevel") (.get pre "use_regex" True)))
    "does not cut text into byte-level pieces as GPT-2 does"
    (.get spec "normalizer")
    "changes the text before it cuts it (normalizer)"
    True
    (for [key ["dropout" "continuing_subword_prefix" "end_of_word_suffix"
               "byte_fallback" "ignore_merges"]]
      (when (.get model key)
        (return f"has {key}, which GPT-2's has not")))))

(defn added-problem [vocab added]
  "What is wrong with the added tokens, or None."
  (for [token added]
    (unless (and (isinstance token dict)
                 (isinstance (.get token "content") str)
                 (get token "content")
                 (.all (real (codes (get token "content"))))
                 (id-number (.get token "id")))
      (return f"has the added token {(short token)}, which has no content or no id"))
    (when (or (.get token "lstrip") (.get token "rstrip") (.get token "single_word"))
      (return f"has the added token {(short (get token "content"))}, which swallows white space"))))

(defn vocab-problem [vocab added]
  "What is wrong with the vocabulary {token: id}, or None."
  (setv extra (sfor token added (get token "content")))
  (for [[token id] (.items vocab)]
    (cond
      (not (id-number id))
      (return f"has the token {(short token)} with the id {(short id)}")
      (not (or (in token extra) (and token (all (gfor char token (in char ALPHABET))))))
      (return f"has the token {(short token)}, which stands for no bytes")))
  (setv missing (- (set ALPHABET) (set vocab))
        ids     (| vocab (dfor token added (get token "content") (get token "id"))))
  (cond
    missing f"lacks {(len missing)} of the 256 bytes, so it cannot write every text"
    (< (len (set (.values ids))) (len ids)) "gives one id to two tokens"
    (any (gfor token added (!= (.get vocab (get token "content") (get token "id"))
                               (get token "id"))))
    "gives two ids to an added token"))

(defn merge-pair [merge]
  "[a b], or \"a b\" as older files have it -> [a b]; None where it is neither."
  (setv pair (if (isinstance merge str) (.split merge " ") merge))
  (when (and (isinstance pair list) (= (len pair) 2) (all (gfor p pair (isinstance p str))))
    pair))

(defn merges-problem [vocab pairs]
  "What is wrong with the merges, or None."
  (cond
    (in None pairs) "has merges that are no pairs of tokens"
    True (for [[a b] pairs]
           (unless (and (in a vocab) (in b vocab) (in (+ a b) vocab))
             (return f"merges {(short a)} and {(short b)}, which is no token")))))

(defn bpe-parts [spec source]
  "a tokenizer.json as a dict -> [vocab merges added], checked; the rest of it is not kept."
  (setv model (part-of spec "model" dict)
        vocab (part-of model "vocab" dict)
        pairs (lfor merge (part-of model "merges" list) (merge-pair merge))
        added (part-of spec "added_tokens" list))
  (setv problem (or (gpt2-problem spec) (added-problem vocab added) (vocab-problem vocab added)
                    (merges-problem vocab pairs)))
  (when problem
    (refuse source problem))
  (setv prefix (is (.get (get spec "pre_tokenizer") "add_prefix_space") True))
  [vocab pairs added prefix])

(defn bpe-json [vocab merges added [prefix False]]
  "-> text: a tokenizer.json of GPT-2's kind. PREFIX: a space comes before the text."
  (setv level {"type" "ByteLevel"  "add_prefix_space" prefix  "trim_offsets" True
               "use_regex" True})
  (json.dumps
    {"version" "1.0"  "truncation" None  "padding" None
     "added_tokens" (lfor token (sorted added :key (fn [t] (get t "id")))
                          {"id" (get token "id")  "content" (get token "content")
                           "single_word" False  "lstrip" False  "rstrip" False  "normalized" False
                           "special" (bool (.get token "special" True))})
     "normalizer" None  "pre_tokenizer" level  "post_processor" None  "decoder" level
     "model" {"type" "BPE"  "dropout" None  "unk_token" None  "continuing_subword_prefix" None
              "end_of_word_suffix" None  "fuse_unk" False  "byte_fallback" False
              "ignore_merges" False  "vocab" vocab  "merges" merges}}
    :ensure-ascii False))

(defn piece-bytes [parts]
  "-> {id: bytes}: what each token stands for."
  (setv [vocab _ added #* _] parts
        own (dfor token added (get token "id") (.encode (get token "content") "utf-8")))
  {#** (dfor  [token id] (.items vocab)  :if (not-in id own)
              id (bytes (gfor char token (get ALPHABET char))))
   #** own})

(defn library []
  "-> the module tokenizers of Hugging Face. It works on one core, unless TOKENIZERS_PARALLELISM
  asks for more: else it warns of every process that is started later."
  (.setdefault os.environ "TOKENIZERS_PARALLELISM" "false")
  (try
    (import tokenizers)
    (except [ImportError]
      (raise (RequestError (+ "BPE needs the package tokenizers, which is not installed: "
                              "pip install tokenizers")) :from None)))
  tokenizers)

(defn bpe-model [text parts source]
  "a checked tokenizer.json -> the library's Tokenizer"
  (setv lib (library))
  (try
    (setv model (lib.Tokenizer.from-str text))
    (except [e Exception]               ; the library's second opinion
      (refuse source f"cannot be used ({(short e)})")))
  (for [token (get parts 2)]
    (when (!= (.token-to-id model (get token "content")) (get token "id"))
      (refuse source f"has an added token {(short (get token "content"))} out of turn")))
  model)

;;; Making and finding one

(defn train-pieces [text size]
  "Learn at most SIZE pieces from TEXT: the bytes, and then, again and again, its commonest pair."
  (unless (< 256 size (+ MOST-PIECES 1))
    (raise (RequestError (+ f"bpe:{size} is no size for a vocabulary: use bpe:N with N from 257 "
                            f"to {MOST-PIECES} (256 are the bytes)"))))
  (setv lib   (library)
        level (lib.pre-tokenizers.ByteLevel :add-prefix-space False)
        model (lib.Tokenizer (lib.models.BPE)))
  (setv model.pre-tokenizer level)
  (.train-from-iterator model (chunks text)
    (lib.trainers.BpeTrainer :vocab-size size :min-frequency 2 :show-progress False
                             :initial-alphabet (sorted ALPHABET)))
  (Pieces (.to-str model)))

(defn make-tokenizer [spec text]
  "The tokenizer that SPEC asks for: char or bpe:N, learned from TEXT; byte; or one in a folder."
  (setv pieces (re.fullmatch "bpe:([0-9]{1,9})" spec))
  (cond
    (= spec "char")       (Characters text)
    (= spec "byte")       (Bytes)
    pieces                (train-pieces text (int (get pieces 1)))
    (os.path.exists spec) (read-tokenizer spec)
    True                  (refuse "the request" f"asks for the tokenizer {(short spec)}" WAY-OUT)))

(defn read-text [path]
  "-> text: what is in the file PATH, all in UTF-8."
  (try
    (.decode (read-bytes path :most MOST-JSON) "utf-8")
    (except [UnicodeDecodeError]
      (refuse path "is not UTF-8 text"))))

(defn read-vocab-and-merges [folder]
  "The tokenizer that vocab.json and merges.txt in FOLDER make up, the older form of GPT-2's."
  (setv source (/ folder "vocab.json")
        vocab  (parse-json (read-text source) source)
        lines  (.split (read-text (/ folder "merges.txt")) "\n")
        merges (lfor  line lines  :if (and line (not (.startswith line "#version")))
                      (.split (.rstrip line "\r") " "))
        made   (| (set ALPHABET) (sfor merge merges (.join "" merge)))
        added  (lfor  [token id] (.items vocab)
                      :if (and (not-in token made) (re.fullmatch "<[^<>]+>" token))
                      {"content" token  "id" id})
        rest   (- (set vocab) made (sfor token added (get token "content"))))
  (when rest
    (refuse folder f"has a merges.txt that makes no {(short (min rest))}: it may be cut short"))
  (Pieces (bpe-json vocab merges added) source))

(defn read-characters [spec source]
  "a tokenizer.json whose words are single characters, as we export -> Characters"
  (setv vocab (part-of (get spec "model") "vocab" dict)
        chars (.join "" vocab))
  (when (or (.get spec "normalizer") (.get spec "added_tokens") (not vocab)
            (!= (sorted (set chars)) (list vocab))
            (!= (list (.values vocab)) (list (range (len vocab)))))
    (refuse source "has words that are not single characters in their order"))
  (tokenizer-from {"kind" "char"  "chars" (list vocab)} :source source))

(defn read-tokenizer [path]
  "The tokenizer in the file PATH, a tokenizer.json, or in the folder: that, or vocab.json and
  merges.txt."
  (setv path (Path path)
        file (if (.is-dir path) (/ path "tokenizer.json") path))
  (cond
    (.exists file)
    (do
      (setv spec (parse-json (read-text file) file))
      (if (= (.get (part-of spec "model" dict) "type") "WordLevel")
        (read-characters spec file)
        (Pieces (json.dumps spec) file)))
    (and (.is-dir path) (.exists (/ path "vocab.json")))
    (read-vocab-and-merges path)
    True
    (refuse path "holds no tokenizer.json and no vocab.json with merges.txt")))

(defn tokenizer-json [tokenizer]
  "-> text: a tokenizer.json that does the same in Hugging Face's libraries."
  (match (get (.state tokenizer) "kind")
    "bpe"  tokenizer.json
    "byte" (bpe-json ALPHABET [] [])
    "char" (json.dumps
             {"version" "1.0"  "truncation" None  "padding" None  "added_tokens" []
              "normalizer" None
              "pre_tokenizer" {"type" "Split"  "pattern" {"Regex" r"[\s\S]"}
                               "behavior" "Isolated"  "invert" False}
              "post_processor" None
              "decoder" {"type" "Fuse"}
              ;; There is no such token: a character that was never seen is an error there too.
              "model" {"type" "WordLevel"  "unk_token" "<unk>"
                       "vocab" (dfor [id char] (enumerate tokenizer.chars) char id)}}
             :ensure-ascii False)))

(defn check-chars [chars source]
  "Characters of a state, if they are that: single, in order, each one once."
  (unless (and (isinstance chars #(str list))
               chars
               (all (map character chars))
               (= (list chars) (sorted (set chars))))
    (refuse source "has a tokenizer whose chars are not single characters, in order, each once"))
  (.join "" chars))

(defn tokenizer-from [state * [vocab-size None] [source "the checkpoint"]]
  "The tokenizer of a STATE, which came from SOURCE and may hold anything. No id of it may reach
  VOCAB-SIZE; fewer are well: some models have rows to spare."
  (setv tokenizer
    (match (if (isinstance state dict) (.get state "kind") None)
      "char" (Characters (check-chars (.get state "chars") source))
      "byte" (Bytes)
      "bpe"  (Pieces (part-of state "json" str) source)
      kind   (refuse source f"has a tokenizer of the kind {(short kind)}, unknown to this version"
                     "update nanogpt-hy")))
  (when (and vocab-size (> tokenizer.vocab-size vocab-size))
    (refuse source f"has a tokenizer of {tokenizer.vocab-size} ids for a model of {vocab-size}"
            "use the tokenizer that the model was trained with"))
  tokenizer)

;;; Text, as it comes

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
