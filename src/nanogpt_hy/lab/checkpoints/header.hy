"The header of a .safetensors file, read by hand and with suspicion: nothing is trusted unchecked.

Such a file is the length of its header (8 bytes), the header (one JSON object that names every
tensor's kind, shape and place, and may hold texts about the file) and the tensors' bytes. Files
come from strangers too. So the header is held against itself and against the file's size before a
byte of a tensor is read, and whatever is wrong ends in one line that says what."

(eval-when-compile
  (require hyrule [unless]))
(import  contextlib [contextmanager]
         math [prod]
         os
         nanogpt-hy.config [whole]
         nanogpt-hy.lab.files [is-special short]
         nanogpt-hy.lab.strangers [parse-object refuse])

(setv MOST-HEADER  100,000,000          ; bytes: the limit of the safetensors library as well
      MOST-NUMBERS (** 2 48))           ; in one tensor

(setv BYTES {"F64" 8  "F32" 4  "F16" 2  "BF16" 2
             "I64" 8  "I32" 4  "I16" 2  "I8" 1  "U32" 4  "U16" 2  "U8" 1  "BOOL" 1})

;;; The file and its first bytes

(defn [contextmanager] opened [path]
  "Within, the regular file at PATH, open, and its size in bytes."
  (when (is-special path)
    (refuse path "is no regular file"))
  (try
    (with [file (open path "rb")]
      (yield #(file (. (os.fstat (.fileno file)) st-size))))
    (except [e OSError]
      (refuse path f"cannot be read ({(or e.strerror e)})" "check the name and the permissions"))))

(defn kind-of-stranger [start]
  "bytes -> str, str: what a file that begins so and is no .safetensors is, and the way out."
  (cond
    (.startswith start #(b"PK\x03\x04" b"\x80\x02" b"\x80\x03" b"\x80\x04" b"\x80\x05"))
    #("looks like a torch pickle, which is never opened here"
      "`nanogpt-hy import` reads nanoGPT's checkpoints")
    (all (gfor  b start  (or (<= 32 b 126) (in b b"\t\n\r"))))
    #("is a text file, not a checkpoint" "name a .safetensors file or a run's folder")
    True
    #("is not a .safetensors file" "name a .safetensors file or a run's folder")))

(defn header-bytes [path file size]
  "Path, file, int -> bytes: the JSON of the header, once its length is plausible."
  (when (< size 10)
    (refuse path (if size f"has only {size} bytes, fewer than any checkpoint" "is empty")))
  (setv start  (.read file 9)
        length (int.from-bytes (cut start 8) "little"))
  (unless (and (= (cut start 8 None) b"{") (<= 2 length MOST-HEADER))
    (refuse path #* (kind-of-stranger start)))
  (when (> (+ 8 length) size)
    (refuse path f"is cut short: it has {size} bytes, its header alone has {(+ 8 length)}"))
  (+ b"{" (.read file (- length 1))))

(defn entry-problem [entry]
  "value from JSON -> str or None: what is wrong with one tensor's entry in the header."
  (unless (and (isinstance entry dict) (= (set entry) #{"dtype" "shape" "data_offsets"}))
    (return "has no dtype, shape and data_offsets, or more than these"))
  (setv kind    (get entry "dtype")
        shape   (get entry "shape")
        offsets (get entry "data_offsets"))
  (cond
    (not (and (isinstance kind str) (in kind BYTES)))
    f"is of the kind {(short kind)}, which is none of {(.join " " BYTES)}"
    (not (and (isinstance shape list) (<= (len shape) 8) (all (map whole shape))))
    "has a shape that is no list of at most 8 whole numbers"
    (> (prod (gfor  n shape  (max n 1))) MOST-NUMBERS)
    "has an impossibly large shape"
    (not (and (isinstance offsets list) (= (len offsets) 2) (all (map whole offsets))))
    "has data_offsets that are not two whole numbers"
    (!= (get offsets 1) (+ (get offsets 0) (* (prod shape) (get BYTES kind))))
    f"has the shape {(short shape)}, which does not fit its bytes {(short offsets)}"))

(defn check-places [path entries room]
  "Path, entries, int -> None: the tensors fill the ROOM bytes behind the header, without gaps."
  (setv end    0
        places (sorted (gfor  [name e] (.items entries)  #(#* (get e "data_offsets") name))))
  (for [[begin stop name] places]
    (when (!= begin end)
      (refuse path f"is damaged: {(short name)} begins at byte {begin} of the data, not at {end}"))
    (setv end stop))
  (when (> end room)
    (refuse path f"is cut short: it has {room} bytes of data of {end}"))
  (when (< end room)
    (refuse path f"is damaged: {(- room end)} bytes follow its last tensor")))

(defn read-header [path file size]
  "Path, file, int -> {name: (dtype shape)}, {key: text}: the tensors and texts it promises."
  (setv data    (header-bytes path file size)
        entries (parse-object path data "a header")
        notes   (.pop entries "__metadata__" {}))
  (for [[name entry] (.items entries)]
    (setv problem (entry-problem entry))
    (when problem
      (refuse path f"is damaged: its tensor {(short name)} {problem}")))
  (check-places path entries (- size 8 (len data)))
  (unless (and (isinstance notes dict) (all (gfor  v (.values notes)  (isinstance v str))))
    (refuse path "has metadata that is not text"))
  #((dfor  [name e] (.items entries)  name #((get e "dtype") (tuple (get e "shape")))) notes))
