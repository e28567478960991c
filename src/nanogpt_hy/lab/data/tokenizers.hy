"Tokenizers by name, from files and from checkpoints: by characters, by bytes, or by learned pieces.

Each one has .vocab-size, .encode (text -> list of ids), .decode (ids -> text), .pieces (id -> the
bytes it stands for) and .state, the JSON object that a checkpoint keeps it in:

  kind char, with chars    the course's CharTokenizer
  kind byte                the 256 bytes of UTF-8
  kind bpe, with json      byte-pair pieces; the JSON is their tokenizer.json

Importing this loads no torch; making a Characters does."

(eval-when-compile
  (require hyrule [unless]))
(import  json
         os
         pathlib [Path]
         re
         numpy :as np
         nanogpt-hy.lab.data.byte-pairs [Pieces train-pieces]
         nanogpt-hy.lab.data.encoding [codes NO-TOKEN Tokenizer]
         nanogpt-hy.lab.data.gpt2-json [ALPHABET bpe-json entry-or-empty id-number parse-json
                                        read-json-text refuse-tokenizer]
         nanogpt-hy.lab.files [short]
         nanogpt-hy.lab.strangers [chars-problem refuse])

(defclass Characters [Tokenizer]
  "The course's CharTokenizer of TEXT, with tables to encode long texts by: of all code points, and
  of the ASCII ones as bytes, which is faster. What is unknown gets an id that no character has."
  (defn __init__ [self text]
    (import nanogpt-hy.course [CharTokenizer])       ; only now: it loads torch
    (setv self.course     (CharTokenizer text)
          self.chars      self.course.chars
          self.vocab-size self.course.vocab-size
          self.table      (np.full 0x110000 self.vocab-size (np.min-scalar-type self.vocab-size)))
    (setv (get self.table (codes (.join "" self.chars))) (np.arange self.vocab-size)
          ;; Of 128 ASCII characters none has the id 255.
          self.ascii (bytes (.tolist (np.minimum (cut self.table 256) 255)))))

  (defn array [self text]
    (if (.isascii text)
      (setv ids     (np.frombuffer (.translate (.encode text "ascii") self.ascii) "uint8")
            unknown (min self.vocab-size 255))
      (setv ids     (.take self.table (codes text))
            unknown self.vocab-size))
    (when (= (.max ids :initial 0) unknown)
      (raise (ValueError "unknown characters")))
    ids)

  (defn knows [self codes]
    (< (.take self.table codes) self.vocab-size))

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
    (if (< id self.vocab-size) (bytes [id]) NO-TOKEN))          ; a model may have rows to spare

  (defn state [self]
    {"kind" "byte"}))


;;; By name

(defn make-tokenizer [spec text]
  "The tokenizer that SPEC asks for: char or bpe:N, learned from TEXT; byte; or one in a folder."
  (setv pieces (re.fullmatch "bpe:([0-9]{1,9})" spec))
  (cond
    (= spec "char")       (Characters text)
    (= spec "byte")       (Bytes)
    pieces                (train-pieces text (int (get pieces 1)))
    (os.path.exists spec) (read-tokenizer spec)
    True                  (refuse-tokenizer "the request"
                                            f"asks for the tokenizer {(short spec)}")))

(defn can-have-made [spec tokenizer]
  "Whether SPEC, as make-tokenizer has it, can have made TOKENIZER. What char makes depends on the
  text, and how many of the N pieces that bpe:N may learn it gives."
  (setv asked (make-tokenizer spec "a")
        kind  (get (.state tokenizer) "kind"))
  (cond
    (= spec "char")           (= kind "char")
    (.startswith spec "bpe:") (and (= kind "bpe")
                                   (<= tokenizer.vocab-size (int (cut spec 4 None))))
    True                      (= (.state asked) (.state tokenizer))))


;;; From and to files

(defn read-vocab-and-merges [folder]
  "The tokenizer that vocab.json and merges.txt in FOLDER make up, the older form of GPT-2's."
  (setv source (/ folder "vocab.json")
        vocab  (parse-json (read-json-text source) source)
        odd    (lfor  [token id] (.items vocab)  :if (not (id-number id))  token)
        lines  (.split (read-json-text (/ folder "merges.txt")) "\n")
        merges (lfor  line lines  :if (and line (not (.startswith line "#version")))
                      (.split (.rstrip line "\r") " "))
        made   (| (set ALPHABET) (sfor  merge merges  (.join "" merge)))
        added  (lfor  [token id] (.items vocab)
                      :if (and (not-in token made) (re.fullmatch "<[^<>]+>" token))
                      {"content" token  "id" id})
        rest   (- (set vocab) made (sfor  token added  (get token "content"))))
  (when odd
    (refuse-tokenizer source f"has the token {(short (get odd 0))} with no number as its id"))
  (when rest
    (refuse-tokenizer folder
      f"has a merges.txt that makes no {(short (min rest))}: it may be cut short"))
  (Pieces (bpe-json vocab merges added) source))

(defn read-characters [spec source]
  "a tokenizer.json whose words are single characters, as we export -> Characters"
  (setv vocab (entry-or-empty (get spec "model") "vocab" dict)
        chars (.join "" vocab))
  (when (or (.get spec "normalizer") (.get spec "added_tokens") (not vocab)
            (!= (sorted (set chars)) (list vocab))
            (!= (list (.values vocab)) (list (range (len vocab)))))
    (refuse-tokenizer source "has words that are not single characters in their order"))
  (tokenizer-from {"kind" "char"  "chars" (list vocab)} :source source))

(defn read-tokenizer [path]
  "The tokenizer in the file PATH, a tokenizer.json, or in the folder: that, or vocab.json and
  merges.txt."
  (setv path (Path path)
        file (if (.is-dir path) (/ path "tokenizer.json") path))
  (cond
    (.exists file)
    (do
      (setv spec (parse-json (read-json-text file) file))
      (if (= (.get (entry-or-empty spec "model" dict) "type") "WordLevel")
        (read-characters spec file)
        (Pieces (json.dumps spec) file)))
    (and (.is-dir path) (.exists (/ path "vocab.json")))
    (read-vocab-and-merges path)
    True
    (refuse-tokenizer path "holds no tokenizer.json and no vocab.json with merges.txt")))

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
                       "vocab" (dfor  [id char] (enumerate tokenizer.chars)  char id)}}
             :ensure-ascii False)))


;;; From a checkpoint

(defn check-chars [chars source]
  "Characters of a state, if they are that: single, in order, each one once."
  (setv problem (chars-problem chars))
  (when problem
    (refuse-tokenizer source f"has a tokenizer whose chars {problem}"))
  (.join "" chars))

(defn tokenizer-from [state * [vocab-size None] [source "the checkpoint"]]
  "The tokenizer of a STATE, which came from SOURCE and may hold anything. No id of it may reach
  VOCAB-SIZE; fewer are well, but for characters: some models have rows to spare."
  (setv tokenizer
    (match (if (isinstance state dict) (.get state "kind") None)
      "char" (Characters (check-chars (.get state "chars") source))
      "byte" (Bytes)
      "bpe"  (Pieces (entry-or-empty state "json" str) source)
      kind   (refuse source f"has a tokenizer of the kind {(short kind)}, unknown to this version"
                     "update nanogpt-hy")))
  (setv ids tokenizer.vocab-size)
  (when (and vocab-size (or (> ids vocab-size)
                            (and (< ids vocab-size) (isinstance tokenizer Characters))))
    (refuse source f"has a tokenizer of {ids} ids for a model of {vocab-size}"
            "use the tokenizer that the model was trained with"))
  tokenizer)
