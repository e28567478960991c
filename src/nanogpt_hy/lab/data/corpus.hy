"Texts, ready to train on: read, split, encoded and described."

(import  collections [Counter]
         dataclasses [dataclass]
         hashlib
         torch
         nanogpt-hy.course [split]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.chain-files [chain-beside line-length]
         nanogpt-hy.lab.data.encoding [encode-array known-text]
         nanogpt-hy.lab.files [read-bytes]
         nanogpt-hy.lab.data.tokenizers [make-tokenizer])

(setv WAY-OUT "take them out, or train a new model on this text")

(defclass [(dataclass :frozen True :kw-only True)] Corpus []
  "A text as a model meets it. Where all lines have one length, it is split between lines."
  #^ str path
  #^ str sha256                        ; of the file
  #^ int characters
  #^ object tokenizer
  #^ torch.Tensor train                ; (N) ids to learn from
  #^ torch.Tensor val                  ; (N) ids to be judged by
  #^ int val-characters                ; how many characters those are
  #^ dict starts                       ; characters that begin a line of the training part, counted
  #^ (| int None) line-tokens          ; tokens of a line with its newline, where all have as many
  #^ object chain)                     ; the markov Chain the text was drawn from, where known

(defn decode-text [data path]
  "The characters of a UTF-8 file, exactly as they are: no newline is translated."
  (when (in 0 data)
    (raise (RequestError
      f"{path} is binary (byte {(.index data 0)} is 0): give a UTF-8 text file")))
  (try
    (.decode data "utf-8")
    (except [e UnicodeDecodeError]
      (raise (RequestError (+ f"{path} is not UTF-8 text (byte {e.start} is "
                              f"{(get data e.start) :#x}): convert it, as iconv does"))))))

(defn read-text [path]
  "The characters of the UTF-8 file at PATH."
  (decode-text (read-bytes path) path))

(defn split-text [text]
  "text -> training part, validation part: nine to one, between lines if all are of one length."
  (setv length (line-length text))
  (if length
    (do (setv lines (// (len text) (+ length 1))
              cut-at (* (+ length 1) (int (* 0.9 lines))))
        [(cut text cut-at) (cut text cut-at None)])
    (split text)))

(defn encode [tokenizer text]
  "text -> (N) int64."
  (.long (torch.from-numpy (.astype (encode-array tokenizer text) "int64"))))

(defn read-corpus [path * [tokenizer "char"]]
  "The text at PATH as a Corpus. TOKENIZER: char, byte, bpe:N, or a tokenizer that exists already."
  (setv data (read-bytes path)
        text (decode-text data path))
  (when (not text)
    (raise (RequestError f"{path} is empty: name a text with something in it")))
  (setv parts (split-text text)
        tokenizer (if (isinstance tokenizer str) (make-tokenizer tokenizer text) tokenizer))
  (known-text tokenizer text f"{path}" WAY-OUT)
  (setv [train val] (lfor  part parts  (encode tokenizer part))
        length (line-length text))
  (Corpus :path (str path)
          :sha256 (.hexdigest (hashlib.sha256 data))
          :characters (len text)
          :tokenizer tokenizer
          :train train
          :val val
          :val-characters (len (get parts 1))
          :starts (dict (Counter (gfor  line (.split (get parts 0) "\n")  :if line  (get line 0))))
          :line-tokens (when (and length (= (+ (len train) (len val)) (len text))) (+ length 1))
          :chain (chain-beside path text)))

(defn check-block-size [corpus block-size]
  "RequestError if a part of CORPUS is too short for one window; it names the block size that fits."
  (for [[part ids] [["training" corpus.train] ["validation" corpus.val]]]
    (when (<= (len ids) block-size)
      (setv fits (- (min (len corpus.train) (len corpus.val)) 1))
      (raise (RequestError
        (+ f"the {part} part of {corpus.path} has {(len ids)} tokens, "
           f"fewer than block-size {block-size} + 1: use "
           (if (> fits 0) f"--block-size {fits} or " "") "a longer text"))))))
