"Byte-pair pieces as GPT-2's, which fit any text: learned from a text, or from a tokenizer.json.

They are found by Hugging Face's library `tokenizers`, imported only when they are asked for."

(eval-when-compile
  (require hyrule [unless]))
(import  os
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.encoding [chunks CUT NO-TOKEN slices Tokenizer]
         nanogpt-hy.lab.data.gpt2-json [ALPHABET bpe-json bpe-parts MOST-PIECES parse-json
                                        piece-bytes refuse-tokenizer]
         nanogpt-hy.lab.files [short])

(defn library []
  "-> the module tokenizers of Hugging Face. It works on one core, unless TOKENIZERS_PARALLELISM
  asks for more: else it warns of every process that is started later. RequestError if it is not
  installed."
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
      (refuse-tokenizer source f"cannot be used ({(short e)})")))
  (for [token (get parts 2)]
    (when (!= (.token-to-id model (get token "content")) (get token "id"))
      (refuse-tokenizer source f"has an added token {(short (get token "content"))} out of turn")))
  model)

(defclass Pieces [Tokenizer]
  "The byte-pair pieces of a tokenizer.json, which came from SOURCE."
  (defn __init__ [self text [source "the tokenizer"]]
    (setv parts           (bpe-parts (parse-json text source) source)
          self.json       (bpe-json #* parts)
          self.bytes      (piece-bytes parts)
          self.vocab-size (+ 1 (max self.bytes))
          self.model      (bpe-model self.json parts source)
          ;; Before each part there would come the space that belongs before the text.
          self.whole      (or (get parts 3)
                              (any (gfor  token (get parts 2)
                                          (.search CUT (get token "content")))))))

  (defn parts [self texts]
    (if self.whole [(.join "" texts)] (chunks texts)))

  (defn array [self text]
    (.encode text "utf-8")                ; a ValueError for what the library would choke on
    (setv [made] (.encode-batch-fast self.model [text] :add-special-tokens False))
    made.ids)

  (defn pieces [self id]
    (.get self.bytes id NO-TOKEN))

  (defn state [self]
    {"kind" "bpe"  "json" self.json}))

(defn train-pieces [text size]
  "-> Pieces: at most SIZE of them, learned from TEXT: the bytes, and then, again and again, its
  commonest pair, as long as that comes twice. RequestError for a SIZE below 257."
  (unless (< 256 size (+ MOST-PIECES 1))
    (raise (RequestError (+ f"bpe:{size} is no size for a vocabulary: use bpe:N with N from 257 "
                            f"to {MOST-PIECES} (256 are the bytes)"))))
  (setv lib   (library)
        level (lib.pre-tokenizers.ByteLevel :add-prefix-space False)
        model (lib.Tokenizer (lib.models.BPE)))
  (setv model.pre-tokenizer level)
  (.train-from-iterator model (chunks (slices text))
    (lib.trainers.BpeTrainer :vocab-size size :min-frequency 2 :show-progress False
                             :initial-alphabet (sorted ALPHABET)))
  (Pieces (.to-str model)))
