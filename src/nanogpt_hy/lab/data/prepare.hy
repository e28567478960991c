"From a text of any length to a token file, in little memory: read once to know it, once to encode;
and between the two once more to learn BPE from it, or to see whether it fits the chain beside it."

(eval-when-compile
  (require hyrule [unless]))
(import  pathlib [Path]
         numpy :as np
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.chain-files [chain-beside chain-values]
         nanogpt-hy.lab.data.corpus [encoded-parts facts-of tokenizer-for]
         nanogpt-hy.lab.data.encoding [id-kind]
         nanogpt-hy.lab.data.texts [Text]
         nanogpt-hy.lab.data.token-files [KINDS token-header]
         nanogpt-hy.lab.files [atomic-file check-new])

(defn check-out [path out overwrite]
  "RequestError where no token file of the text at PATH can go."
  (check-new out :overwrite overwrite)
  (when (and (.exists out) (.exists path) (.samefile out path))
    (raise (RequestError f"{out} is the text itself: name another file for its tokens"))))

(defn check-parts [tokenizer]
  "RequestError if the tokenizer wants a text as a whole."
  (when tokenizer.whole
    (raise (RequestError (+ "this tokenizer puts a space before a text, or has added tokens with "
                            "white space in them, so that no text can be cut safely: use another "
                            "one, or train on the text")))))

(defn kind-of [tokenizer]
  "-> str: the kind of numbers that hold the tokenizer's ids, as safetensors names it."
  (next (gfor  [kind dtype] (.items KINDS)  :if (= (np.dtype dtype) (id-kind tokenizer))  kind)))

(defn longest-header [facts alphabet kind]
  "-> bytes: a header with room for all that is known only in the end: ids and starts, counted."
  (setv most   (* 5 (get facts "characters"))     ; of four bytes, and a space may come before it
        starts (dfor  char alphabet  char most))
  (token-header {#** facts  "starts" starts  "train_tokens" most  "line_tokens" most} kind most))

(defn written [file arrays dtype]
  "file, (N)... -> int: how many ids they are; all are in the file now."
  (setv count 0)
  (for [ids arrays]
    (.write file (.astype ids dtype :copy False))
    (setv count (+ count (len ids))))
  count)

(defn prepare-text [path out * [tokenizer "char"] [overwrite False] [told (fn [count])]]
  "Write the ids of the text at PATH into the token file OUT; -> {name: value}: what is in it.
  TOLD hears how many bytes each block has, while the text is looked through and again while it is
  encoded."
  (setv [path out] [(Path path) (Path out)])
  (check-out path out overwrite)
  (setv text      (Text path told)
        tokenizer (tokenizer-for text tokenizer))
  (check-parts tokenizer)
  (setv kind      (kind-of tokenizer)
        chain     (chain-beside path (.parts text))
        starts    {}
        about     (fn [tokens] {#** (facts-of text :tokenizer tokenizer :starts starts
                                              :tokens tokens
                                              :chain (when chain (chain-values chain)))
                                "tokenizer" (.state tokenizer)}))
  (with [file (atomic-file out)]
    (setv header (longest-header (about 0) text.alphabet kind))
    (.write file header)
    (setv [train val] (lfor  arrays (encoded-parts text tokenizer starts told)
                             (written file arrays (get KINDS kind)))
          facts {#** (about (+ train val))  "train_tokens" train})
    (.seek file 0)
    (.write file (token-header facts kind (+ train val) :room (len header)))
    (check-new out :overwrite overwrite))         ; once more: it may have come meanwhile
  {#** facts  "tokens" (+ train val)  "vocab_size" tokenizer.vocab-size})
