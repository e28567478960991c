"Token files: a text's ids, ready on the disk, mapped into memory and never read as a whole.

One is a .safetensors file with a single tensor, `tokens` (U8, U16 or U32): first the ids to learn
from, then those to be judged by. Its metadata hold one JSON object under the key `nanogpt_hy_text`:

  format       1, the version of this list
  tokenizer    its state (tokenizers.hy)
  sha256       of the text's file
  characters, val_characters, starts, line_tokens   as a Corpus has them (corpus.hy)
  train_tokens how many of the ids are the training part
  chain        the chain the text was drawn from (chain_files.hy), or null
  digest       sha256 of all this and of the tensor's kind and shape

Token files come from strangers too. Sizes and facts are checked when one is opened, ids when they
are asked for: to check them all would mean to read them all."

(eval-when-compile
  (require hyrule [unless]))
(import  json
         mmap
         re
         numpy :as np
         torch
         nanogpt-hy.config [whole]
         nanogpt-hy.errors [WorkError]
         nanogpt-hy.lab.checkpoints.header [opened read-header]
         nanogpt-hy.lab.checkpoints.metadata [check-format digest TEXT-KEY :as KEY]
         nanogpt-hy.lab.data.chain-files [chain-from]
         nanogpt-hy.lab.data.tokenizers [tokenizer-from]
         nanogpt-hy.lab.files [is-special reading short]
         nanogpt-hy.lab.strangers [character parse-object refuse])

(setv FORMAT  1
      KINDS   {"U8" "<u1"  "U16" "<u2"  "U32" "<u4"}
      WAY-OUT "prepare the text again")


;;; Ids on the disk

(defclass Tokens []
  "(N) ids in a token file. What is asked of them, by a slice or by a tensor of places, comes into
  memory as int64, and RequestError if it is not below VOCAB-SIZE."
  (defn __init__ [self array vocab-size path]
    (setv self.array      array
          self.vocab-size vocab-size
          self.path       path))

  (defn __len__ [self]
    (len self.array))

  (defn __getitem__ [self places]
    "slice, or (...) places -> (...) int64"
    (setv ids (get self.array (if (isinstance places torch.Tensor) (.numpy places) places)))
    (when (>= (.max ids :initial 0) self.vocab-size)
      (refuse self.path (+ f"is damaged: it holds the id {(.max ids)}, "
                           f"and its tokenizer has only {self.vocab-size}") WAY-OUT))
    (torch.from-numpy (.astype ids "int64"))))


;;; Written

(defn token-header [facts kind count [room 0]]
  "dict, kind of numbers, int -> bytes: a token file up to its first id, at least ROOM bytes."
  (setv facts {#** facts  "format" FORMAT}
        facts {#** facts  "digest" (digest facts {"tokens" #(kind [count])})}
        size  (* count (. (np.dtype (get KINDS kind)) itemsize))
        text  (json.dumps {"__metadata__" {KEY (json.dumps facts)}
                           "tokens" {"dtype" kind  "shape" [count]  "data_offsets" [0 size]}})
        ;; Spaces may end a header; with them the ids begin where 8 divides the place.
        length (max room (* 8 (+ 1 (// (+ 7 (len text)) 8)))))
  (+ (.to-bytes (- length 8) 8 "little") (.ljust (.encode text "ascii") (- length 8))))


;;; Opened

(defn is-token-file [path]
  "Whether the file PATH begins as a .safetensors file does, and no text: with its header's length."
  (when (is-special path)
    (return False))
  (with [file (reading path)]
    (setv start (.read file 9)))
  (and (= (cut start 8 None) b"{") (= (get start 7) 0)))

(defn facts-problem [facts count]
  "dict from JSON, int -> str or None: what cannot be true of COUNT ids."
  (setv least  {"characters" 1  "val_characters" 1  "train_tokens" 0}
        starts (.get facts "starts")
        line   (.get facts "line_tokens"))
  (for [[key n] (.items least)]
    (unless (whole (.get facts key) n)
      (return f"has a {key} that is no whole number from {n}")))
  (setv train (get facts "train_tokens"))
  (cond
    (not (re.fullmatch "[0-9a-f]{64}" (str (.get facts "sha256"))))
    "has no sha256 of its text"
    (> (get facts "val_characters") (get facts "characters"))
    "has more val_characters than characters"
    (not (isinstance (.get facts "tokenizer") dict))
    "has no tokenizer"
    (not (isinstance (.get facts "chain") #(dict (type None))))
    "has a chain that is none"
    (> train count)
    f"has {train} train_tokens of {count}"
    (not (and (isinstance starts dict)
              (all (gfor  [c n] (.items starts)  (and (character c) (whole n 1))))))
    "has starts that are no counted characters"
    (not (or (is line None) (and (whole line 2) (= (% train line) (% count line) 0))))
    f"has a line_tokens of {(short line)}, which does not divide its tokens"))

(defn token-facts [path]
  "file name -> dict, (N): what a token file says of its text, checked, and its ids, mapped."
  (with [[file size] (opened path)]
    (setv [entries notes] (read-header path file size))
    (unless (and (in KEY notes) (= (list entries) ["tokens"]))
      (refuse path "is a .safetensors file, but no text and no token file"
              "name a text, or what nanogpt-hy prepare made of one"))
    (setv facts        (parse-object path (get notes KEY) "metadata")
          [kind shape] (get entries "tokens"))
    (check-format path facts entries FORMAT WAY-OUT)
    (unless (and (in kind KINDS) (= (len shape) 1) (get shape 0))
      (refuse path f"holds {kind} of the shape {(short shape)}, not a row of ids" WAY-OUT))
    (setv problem (facts-problem facts (get shape 0)))
    (when problem
      (refuse path f"has metadata that {problem}" WAY-OUT))
    (try
      (setv ids (mapped file (np.dtype (get KINDS kind)) (get shape 0)))
      (except [e OSError]                ; too little memory, or a file system that does not do it
        (raise (WorkError (+ f"{path} cannot be mapped into memory ({e.strerror}): copy it to "
                             "another disk, or name the text itself")) :from None)))
    #(facts ids)))

(defn mapped [file dtype count]
  "file, kind of numbers, int -> (N): its last COUNT numbers, in memory that is the file itself."
  (setv memory (mmap.mmap (.fileno file) 0 :access mmap.ACCESS-READ))
  ;; Windows lie anywhere: to read ahead of each would read a whole file for some of it.
  (when (hasattr mmap "MADV_RANDOM")
    (.madvise memory mmap.MADV-RANDOM))
  (np.frombuffer memory dtype :offset (- (len memory) (* count dtype.itemsize))))

(defn open-tokens [path]
  "file name -> {name: value}: all that a Corpus wants to know; its two parts stay on the disk."
  (setv [facts ids] (token-facts path)
        tokenizer   (tokenizer-from (get facts "tokenizer") :source f"{path}")
        chain       (.get facts "chain")
        train       (get facts "train_tokens"))
  (defn part [ids] (Tokens ids tokenizer.vocab-size f"{path}"))
  {"sha256" (get facts "sha256")  "characters" (get facts "characters")  "tokenizer" tokenizer
   "train" (part (cut ids train))  "val" (part (cut ids train None))
   "val_characters" (get facts "val_characters")  "starts" (get facts "starts")
   "line_tokens" (.get facts "line_tokens")
   "chain" (when chain (chain-from chain f"{path}"))})
