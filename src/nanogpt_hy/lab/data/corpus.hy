"Texts, ready to train on: read, split, encoded and described; or prepared, in a token file."

(eval-when-compile
  (require hyrule [unless]))
(import  dataclasses [dataclass]
         math [ceil]
         numpy :as np
         torch
         nanogpt-hy.course [split]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.chain-files [chain-beside]
         nanogpt-hy.lab.data.encoding [chunks encoded first-places refuse-unknown
                                       unknown-characters]
         nanogpt-hy.lab.data.texts [Parts starts-counted Text]
         nanogpt-hy.lab.data.token-files [is-token-file open-tokens token-facts]
         nanogpt-hy.lab.data.tokenizers [can-have-made make-tokenizer])

(setv WAY-OUT      "take them out, or train a new model on this text"
      LEARNED      10,000,000)         ; BPE is learned from about so many characters, or from fewer

(defclass [(dataclass :frozen True :kw-only True)] Corpus []
  "A text as a model meets it. Where all lines have one length, it is split between lines."
  #^ str path
  #^ str sha256                        ; of the text's file
  #^ int characters
  #^ object tokenizer
  #^ object train                      ; (N) ids to learn from: a tensor, or Tokens on the disk
  #^ object val                        ; (N) ids to be judged by
  #^ int val-characters                ; how many characters those are
  #^ dict starts                       ; characters that begin a line of the training part, counted
  #^ (| int None) line-tokens          ; tokens of a line with its newline, where all have as many
  #^ object chain)                     ; the markov Chain the text was drawn from, where known


;;; From a text to ids, part by part

(defn training-characters [text]
  "Text -> int: so many are the training part: nine of ten, of the lines if all have one length."
  (setv width (+ (or text.line-length 0) 1))
  (* width (len (get (split (range (// text.characters width))) 0))))

(defn sample [text]
  "Text -> str: about LEARNED characters of it, in evenly spread parts; all, if there are no more."
  (setv every (ceil (/ text.characters LEARNED)))
  (.join "" (gfor  [i part] (enumerate (chunks (.parts text)))  :if (= 0 (% i every))  part)))

(defn tokenizer-for [text spec]
  "The tokenizer that SPEC asks for, a name as make-tokenizer has it or one that exists already.
  RequestError says what of the Text it cannot encode."
  (setv tokenizer (cond
    (not (isinstance spec str)) spec
    (.startswith spec "bpe:")   (make-tokenizer spec (sample text))
    True                        (make-tokenizer spec text.alphabet)))
  (when (unknown-characters tokenizer text.alphabet)
    (refuse-unknown (first-places tokenizer (.parts text)) text.path WAY-OUT))
  tokenizer)

(defn encoded-parts [text tokenizer starts [told (fn [count])]]
  "-> ids of the training part, of the validation part: arrays (N)..., to be used up in this order.
  What begins a line of the training part is counted in the dict STARTS on the way."
  (setv parts (Parts (.parts text told)))
  [(encoded tokenizer (starts-counted (.take parts (training-characters text)) starts))
   (encoded tokenizer (.take parts))])

(defn facts-of [text * tokenizer starts tokens chain]
  "-> {name: value}: what a Corpus has to say of a Text beside its tokens, of which it has TOKENS.
  Lines of one length have as many tokens each if these are characters, or ASCII's bytes; with
  learned pieces, that there are as many tokens as characters would be chance."
  (setv length   text.line-length
        as-many  (and (= tokens text.characters) (!= (get (.state tokenizer) "kind") "bpe")))
  {"sha256" text.sha256  "characters" text.characters  "starts" starts  "chain" chain
   "val_characters" (- text.characters (training-characters text))
   "line_tokens" (when (and length as-many) (+ length 1))})

(defn read-whole [path spec]
  "The text at PATH as a Corpus, in memory."
  (setv text      (Text path)
        tokenizer (tokenizer-for text spec)
        starts    {}
        [train val] (lfor  arrays (encoded-parts text tokenizer starts)
                      (torch.from-numpy (np.concatenate [(np.zeros 0 "uint8") #* arrays]
                                                        :dtype "int64"))))
  (Corpus :path text.path :tokenizer tokenizer :train train :val val
          #** (facts-of text :tokenizer tokenizer :starts starts
                        :tokens (+ (len train) (len val))
                        :chain (chain-beside path (.parts text)))))


;;; A text or a token file

(defn check-tokenizer [path has asked]
  "RequestError if the token file PATH, which HAS a tokenizer, has another than was ASKED for."
  (setv kind  (get (.state has) "kind")
        name  (if (= kind "bpe") f"bpe:{has.vocab-size}" kind)
        named (isinstance asked str))
  (unless (cond
            (is asked None) True
            named           (can-have-made asked has)
            True            (= (.state asked) (.state has)))
    (raise (RequestError
      (+ f"{path} was prepared with the tokenizer {name}, "
         (if named
           f"not {asked}: leave out --tokenizer, or prepare the text again"
           "and the model has another one: give the text itself"))))))

(defn read-corpus [path * [tokenizer None]]
  "The text, or the token file, at PATH as a Corpus. TOKENIZER: char (the default for a text), byte,
  bpe:N, a folder with one, or a tokenizer that exists already."
  (if (is-token-file path)
    (do
      (setv facts (open-tokens path))
      (check-tokenizer path (get facts "tokenizer") tokenizer)
      (Corpus :path (str path) #** facts))
    (read-whole path (or tokenizer "char"))))

(defn as-corpus [text [tokenizer None]]
  "A Corpus as it is, or what `read-corpus` makes of a file's name."
  (if (isinstance text Corpus) text (read-corpus text :tokenizer tokenizer)))

(defn marks-of [path]
  "text or token file -> the sha256 of the text, how many characters it has."
  (if (is-token-file path)
    (do
      (setv [facts _] (token-facts path))
      [(get facts "sha256") (get facts "characters")])
    (do
      (setv text (Text path))
      [text.sha256 text.characters])))

(defn check-block-size [corpus block-size]
  "RequestError if a part of CORPUS is too short for one window; it names the block size that fits."
  (for [[part ids] [["training" corpus.train] ["validation" corpus.val]]]
    (when (<= (len ids) block-size)
      (setv fits (- (min (len corpus.train) (len corpus.val)) 1))
      (raise (RequestError
        (+ f"the {part} part of {corpus.path} has {(len ids)} tokens, "
           f"fewer than block-size {block-size} + 1: use "
           (if (> fits 0) f"--block-size {fits} or " "") "a longer text"))))))
