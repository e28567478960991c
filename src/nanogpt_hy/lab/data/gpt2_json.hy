"GPT-2's tokenizer.json: checked, for it may be a stranger's, and written.

What is checked here is vocabulary, merges and added tokens; all else is written anew."

(eval-when-compile
  (require hyrule [unless]))
(import  json
         nanogpt-hy.config [whole]
         nanogpt-hy.lab.data.encoding [codes real]
         nanogpt-hy.lab.files [read-bytes short]
         nanogpt-hy.lab.strangers [parse-object refuse])

(setv MOST-JSON   20,000,000       ; bytes: GPT-2's has two million
      MOST-PIECES 1,000,000
      WAY-OUT     "use char, byte, bpe:N, or a folder with the tokenizer.json of a GPT-2")


;;; Reading JSON

(defn refuse-tokenizer [source fact]
  "str, str -> never: raises the RequestError about the tokenizer that came from SOURCE."
  (refuse source fact WAY-OUT))

(defn read-json-text [path]
  "-> text: what is in the file PATH, all in UTF-8."
  (try
    (.decode (read-bytes path :most MOST-JSON) "utf-8")
    (except [UnicodeDecodeError]
      (refuse-tokenizer path "is not UTF-8 text"))))

(defn parse-json [text source]
  "text -> dict"
  (when (> (len text) MOST-JSON)
    (refuse-tokenizer source f"has {(len text) :,} characters of JSON, more than {MOST-JSON :,}"))
  (parse-object source text "a tokenizer" WAY-OUT))

(defn entry-or-empty [spec key kind]
  "What the dict SPEC has at KEY, if it is of KIND; else an empty one."
  (setv value (.get spec key))
  (if (isinstance value kind) value (kind)))


;;; The bytes as characters

(defn byte-alphabet []
  "-> {character: byte}: how GPT-2 writes bytes as characters that can be seen
  (https://github.com/openai/gpt-2, src/encoder.py)."
  (setv visible [#* (range 33 127)  #* (range 161 173)  #* (range 174 256)]
        hidden  (lfor  b (range 256)  :if (not-in b visible)  b))
  {#** (dfor  b visible  (chr b) b)
   #** (dfor  [i b] (enumerate hidden)  (chr (+ 256 i)) b)})

(setv ALPHABET (byte-alphabet))

(defn piece-bytes [parts]
  "-> {id: bytes}: what each token stands for."
  (setv [vocab _ added #* _] parts
        own (dfor  token added  (get token "id") (.encode (get token "content") "utf-8")))
  {#** (dfor  [token id] (.items vocab)  :if (not-in id own)
              id (bytes (gfor  char token  (get ALPHABET char))))
   #** own})


;;; What can be wrong

(defn id-number [value]
  "Whether VALUE may be a token's id."
  (whole value :most (- MOST-PIECES 1)))

(defn gpt2-problem [spec]
  "Why a tokenizer.json is not of GPT-2's kind, or None. What is not looked at here has no part in
  encoding without special tokens."
  (setv model (entry-or-empty spec "model" dict)
        pre   (entry-or-empty spec "pre_tokenizer" dict))
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

(defn added-problem [added]
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
  (setv extra (sfor  token added  (get token "content")))
  (for [[token id] (.items vocab)]
    (cond
      (not (id-number id))
      (return f"has the token {(short token)} with the id {(short id)}")
      (not (or (in token extra) (and token (all (gfor  char token  (in char ALPHABET))))))
      (return f"has the token {(short token)}, which stands for no bytes")))
  (setv missing (- (set ALPHABET) (set vocab))
        ids     (| vocab (dfor  token added  (get token "content") (get token "id"))))
  (cond
    missing f"lacks {(len missing)} of the 256 bytes, so it cannot write every text"
    (< (len (set (.values ids))) (len ids)) "gives one id to two tokens"
    (any (gfor  token added  (!= (.get vocab (get token "content") (get token "id"))
                               (get token "id"))))
    "gives two ids to an added token"))

(defn merge-pair [merge]
  "[a b], or \"a b\" as older files have it -> [a b]; None where it is neither."
  (setv pair (if (isinstance merge str) (.split merge " ") merge))
  (when (and (isinstance pair list) (= (len pair) 2) (all (gfor  p pair  (isinstance p str))))
    pair))

(defn merges-problem [vocab pairs]
  "What is wrong with the merges, or None."
  (cond
    (in None pairs) "has merges that are no pairs of tokens"
    True (for [[a b] pairs]
           (unless (and (in a vocab) (in b vocab) (in (+ a b) vocab))
             (return f"merges {(short a)} and {(short b)}, which is no token")))))


;;; In and out

(defn bpe-parts [spec source]
  "a tokenizer.json as a dict -> [vocab merges added prefix], checked; the rest of it is not kept."
  (setv model (entry-or-empty spec "model" dict)
        vocab (entry-or-empty model "vocab" dict)
        pairs (lfor  merge (entry-or-empty model "merges" list) (merge-pair merge))
        added (entry-or-empty spec "added_tokens" list))
  (setv problem (or (gpt2-problem spec) (added-problem added) (vocab-problem vocab added)
                    (merges-problem vocab pairs)))
  (when problem
    (refuse-tokenizer source problem))
  (setv prefix (is (.get (get spec "pre_tokenizer") "add_prefix_space") True))
  [vocab pairs added prefix])

(defn bpe-json [vocab merges added [prefix False]]
  "-> text: a tokenizer.json of GPT-2's kind. PREFIX: a space comes before the text."
  (setv level {"type" "ByteLevel"  "add_prefix_space" prefix  "trim_offsets" True
               "use_regex" True})
  (json.dumps
    {"version" "1.0"  "truncation" None  "padding" None
     "added_tokens" (lfor  token (sorted added :key (fn [t] (get t "id")))
                          {"id" (get token "id")  "content" (get token "content")
                           "single_word" False  "lstrip" False  "rstrip" False  "normalized" False
                           "special" (bool (.get token "special" True))})
     "normalizer" None  "pre_tokenizer" level  "post_processor" None  "decoder" level
     "model" {"type" "BPE"  "dropout" None  "unk_token" None  "continuing_subword_prefix" None
              "end_of_word_suffix" None  "fuse_unk" False  "byte_fallback" False
              "ignore_merges" False  "vocab" vocab  "merges" merges}}
    :ensure-ascii False))
