"A checkpoint is one .safetensors file that explains itself: weights, and how they came about.

It holds no pickle. Its tensors are `model.…` (the weights) and, to resume a run, `optimizer.…` and
`generator.…`. Its metadata hold one JSON object under the key `nanogpt_hy`:

  format     1, the version of this list
  stage      which model of the ladder
  config     the model's hyperparameters, in underscored names
  tokenizer  {\"kind\": \"char\", \"chars\": [...]}, or another kind with what that kind needs
  step       training steps done
  train, losses, data   how it was trained, how well, on what: objects, empty where unknown
  digest     sha256 of all this and of the tensors' names, kinds and shapes

Checkpoints come from strangers too. So the header is read and checked before any weight is, sizes
before memory is asked for, and whatever is wrong ends in one line that says what.

A file is written beside its place under another name and then renamed: whoever looks sees the old
one or the new one, also after a kill -9 or a power cut."

(eval-when-compile
  (require hyrule [unless]))
(import  hashlib [sha256]
         itertools [chain islice]
         json
         math [isfinite prod]
         os
         pathlib [Path]
         secrets [token-hex]
         stat [S-ISREG]
         time [time]
         safetensors.torch :as safetensors
         torch
         nanogpt-hy.errors [RequestError WorkError])

(setv FORMAT       1
      KEY          "nanogpt_hy"
      MOST-HEADER  100,000,000          ; bytes: the limit of the safetensors library as well
      MOST-META    50,000,000
      MOST-NUMBERS (** 2 48)            ; in one tensor
      MOST-DEPTH   50                   ; objects in objects
      STALE        3600                 ; seconds: a half-written file as old as that is nobody's
      WAY-OUT      "use another checkpoint, or train again")

(setv BYTES {"F64" 8  "F32" 4  "F16" 2  "BF16" 2
             "I64" 8  "I32" 4  "I16" 2  "I8" 1  "U8" 1  "BOOL" 1})

(defn refuse [path fact [way-out WAY-OUT]]
  "Raise the RequestError about the file PATH."
  (raise (RequestError f"{path} {fact}: {way-out}")))

;; Where checkpoints are

(defn checkpoint-path [path]
  "-> Path: the checkpoint that PATH means: a file itself, of a run's folder its best, else last."
  (setv path  (Path path)
        found (lfor place [path (/ path "best.safetensors") (/ path "last.safetensors")]
                    :if (os.path.isfile place) place))
  (cond
    found
    (get found 0)
    (os.path.isdir path)
    (refuse f"the folder {path}" "holds no best.safetensors and no last.safetensors"
            "name a run's folder, or train first")
    (os.path.exists path)
    (refuse path "is neither a file nor a folder" "name a checkpoint")
    True
    (refuse f"the checkpoint {path}" "does not exist" "check the name, or train first")))

(defn written-at [path]
  "-> seconds: when PATH was last written, 0 where it is gone meanwhile."
  (try (. (os.stat path) st-mtime)
    (except [OSError] 0)))

(defn newest-checkpoint [[runs-dir "runs"]]
  "-> Path: the checkpoint of the run in RUNS-DIR that wrote one last."
  (setv files (lfor name ["best" "last"]
                    file (.glob (Path runs-dir) f"*/{name}.safetensors")
                    file))
  (unless files
    (refuse f"the folder {runs-dir}" "holds no run with a checkpoint"
            "train first (nanogpt-hy train TEXT), or name a checkpoint"))
  (checkpoint-path (. (max files :key written-at) parent)))

;; Writing

(defn sweep [path]
  "Remove what a killed process left half-written beside PATH, once it is STALE."
  (try
    (for [left (.glob path.parent ".*.tmp")]
      (when (and (.startswith left.name f".{path.name}.")
                 (< (written-at left) (- (time) STALE)))
        (.unlink left :missing-ok True)))
    (except [OSError] None)))           ; tidying up is no reason to fail

(defn sync-folder [folder]
  "Make a rename in FOLDER outlive a power cut, where the system can."
  (try
    (setv handle (os.open folder os.O-RDONLY))
    (try (os.fsync handle)
      (finally (os.close handle)))
    (except [OSError] None)))           ; some systems open no folders; the rename itself has worked

(defn write-beside [path data]
  "-> Path: DATA on the disk, in a new file beside PATH. A failure leaves no file."
  (setv temporary (.with-name path f".{path.name}.{(token-hex 8)}.tmp")
        binary    (getattr os "O_BINARY" 0)       ; only Windows tells text from bytes
        handle    (os.open temporary (| os.O-WRONLY os.O-CREAT os.O-EXCL binary) 0o666))
  (try
    (with [file (os.fdopen handle "wb")]
      (.write file data)
      (.flush file)
      (os.fsync (.fileno file)))
    (except [BaseException]             ; Ctrl-C too must leave nothing behind
      (.unlink temporary :missing-ok True)
      (raise)))
  temporary)

(defn write-atomic [path data]
  "Make DATA (text or bytes) the content of the file PATH, at once or not at all.
  WorkError where the system refuses; what was there before is still there then."
  (setv path (Path path))
  (try
    (setv temporary (write-beside path (if (isinstance data str) (.encode data "utf-8") data)))
    (try (os.replace temporary path)
      (except [BaseException]
        (.unlink temporary :missing-ok True)
        (raise)))
    (sweep path)
    (except [e OSError]
      (setv kept (if (os.path.isfile path) ", the older one is still there" ""))
      (raise (WorkError (+ f"cannot write {path} ({(or e.strerror e)}){kept}: "
                           "free some space, or use a folder that you may write to"))
             :from e)))
  (sync-folder path.parent))

(defn separate [tensors]
  "{name: tensor} -> the same on the CPU, each in memory of its own, as the file format wants it."
  (setv seen #{}
        out  {})
  (for [[name tensor] (.items tensors)]
    (setv plain (.contiguous (.to (.detach tensor) "cpu"))
          place (.data-ptr (.untyped-storage plain)))
    (setv (get out name) (if (in place seen) (.clone plain) plain))
    (.add seen place))
  out)

(defn digest [meta entries]
  "-> hex: what the header says, in a few letters; a bit that fell over in it shows."
  (setv said [(dfor [k v] (.items meta) :if (!= k "digest") k v)
              (dfor [name [kind shape]] (.items entries) name [kind (list shape)])])
  (.hexdigest (sha256 (.encode (json.dumps said :sort-keys True)))))

(setv KIND-NAMES {torch.float64 "F64"  torch.float32 "F32"  torch.float16 "F16"
                  torch.bfloat16 "BF16"  torch.int64 "I64"  torch.int32 "I32"
                  torch.int16 "I16"  torch.int8 "I8"  torch.uint8 "U8"  torch.bool "BOOL"})

(defn save-checkpoint [path tensors meta]
  "Write TENSORS (name -> tensor) and META to the file PATH, whole or not at all.
  META needs stage, config, tokenizer and step; train, losses, data may be left out and more may be
  added. A META that could not be read back is the program's mistake: ValueError."
  (setv tensors (separate tensors)
        entries (dfor [name t] (.items tensors) name #((get KIND-NAMES t.dtype) (tuple t.shape)))
        meta    {#** META-DEFAULTS  #** meta  "format" FORMAT}
        meta    (json.loads (json.dumps meta :allow-nan False))    ; as a reader will see it
        text    (json.dumps {#** meta  "digest" (digest meta entries)})
        problem (or (meta-problem meta) (sizes-problem meta entries)))
  (when (> (len text) MOST-META)
    (setv problem f"its JSON has {(len text)} bytes, more than {MOST-META}"))
  (when problem
    (raise (ValueError f"not a checkpoint: {problem}")))
  (write-atomic path (safetensors.save tensors {KEY text})))

;; The header, by hand: nothing is trusted before it is checked

(defn short [name]
  "A name from somebody's file, fit to be printed  ; (short \"a\\nb\") => \"'a\\\\nb'\""
  (setv text (repr (str name)))
  (if (> (len text) 70) (+ (cut text 67) "...") text))

(defn opened [path]
  "-> binary file, size: the regular file PATH."
  (try
    (setv file   (open path "rb")
          status (os.fstat (.fileno file)))
    (except [e OSError]
      (refuse path f"cannot be read ({(or e.strerror e)})" "check the name and the permissions")))
  (unless (S-ISREG status.st-mode)
    (.close file)
    (refuse path "is no regular file"))
  #(file status.st-size))

(defn kind-of-stranger [start]
  "What a file that begins with START and is no .safetensors file is, in words, and the way out."
  (cond
    (.startswith start #(b"PK\x03\x04" b"\x80\x02" b"\x80\x03" b"\x80\x04" b"\x80\x05"))
    #("looks like a torch pickle, which is never opened here"
      "`nanogpt-hy import` reads nanoGPT's checkpoints")
    (all (gfor b start (or (<= 32 b 126) (in b b"\t\n\r"))))
    #("is a text file, not a checkpoint" "name a .safetensors file or a run's folder")
    True
    #("is not a .safetensors file" "name a .safetensors file or a run's folder")))

(defn header-bytes [path file size]
  "-> bytes: the JSON of the header, once its length is plausible."
  (when (< size 10)
    (refuse path (if size f"has only {size} bytes, fewer than any checkpoint" "is empty")))
  (setv start  (.read file 9)
        length (int.from-bytes (cut start 8) "little"))
  (unless (and (= (cut start 8 None) b"{") (<= 2 length MOST-HEADER))
    (refuse path #* (kind-of-stranger start)))
  (when (> (+ 8 length) size)
    (refuse path f"is cut short: it has {size} bytes, its header alone has {(+ 8 length)}"))
  (+ b"{" (.read file (- length 1))))

(defn no-twins [pairs]
  "[(key value)] -> dict; ValueError where a key comes twice."
  (setv out (dict pairs))
  (when (< (len out) (len pairs))
    (raise (ValueError "a key comes twice")))
  out)

(defn finite-number [text]
  "text -> float; ValueError for NaN and what is too large for a float."
  (setv number (float text))
  (unless (isfinite number)
    (raise (ValueError f"{text} is not a finite number")))
  number)

(defn check-depth [value]
  "ValueError where VALUE, which came from JSON, is nested deeper than any metadata of ours."
  (setv level [value]
        depth 0)
  (while level
    (setv depth (+ depth 1))
    (when (> depth MOST-DEPTH)
      (raise (ValueError "nested too deeply")))
    (setv level (lfor v level
                      :if (isinstance v #(dict list))
                      inner (if (isinstance v dict) (.values v) v)
                      inner))))

(defn parse-object [path data what]
  "JSON bytes or text -> dict: strict: no key twice, no NaN, no bottomless nesting."
  (try
    (setv value (json.loads (if (isinstance data str) data (.decode data "utf-8"))
                            :object-pairs-hook no-twins
                            :parse-float       finite-number
                            :parse-constant    finite-number))
    (check-depth value)
    (except [e [ValueError RecursionError]]     ; the decoders' errors are ValueErrors too
      (setv why (if (isinstance e RecursionError) "nested too deeply" (short e)))
      (refuse path f"has {what} that cannot be read ({why})")))
  (unless (isinstance value dict)
    (refuse path f"has {what} that is no JSON object"))
  value)

(defn whole [value [least 0]]
  "Whether VALUE is a whole number from LEAST to what 63 bits hold; true and 1.0 are none."
  (and (is (type value) int) (<= least value (- (** 2 63) 1))))

(defn entry-problem [entry]
  "What is wrong with one tensor's ENTRY in the header, or None."
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
    (> (prod (gfor n shape (max n 1))) MOST-NUMBERS)
    "has an impossibly large shape"
    (not (and (isinstance offsets list) (= (len offsets) 2) (all (map whole offsets))))
    "has data_offsets that are not two whole numbers"
    (!= (get offsets 1) (+ (get offsets 0) (* (prod shape) (get BYTES kind))))
    f"has the shape {(short shape)}, which does not fit its bytes {(short offsets)}"))

(defn check-places [path entries room]
  "Hold the tensors' places against each other and against the ROOM bytes that follow the header."
  (setv end    0
        places (sorted (gfor [name e] (.items entries) #(#* (get e "data_offsets") name))))
  (for [[begin stop name] places]
    (when (!= begin end)
      (refuse path f"is damaged: {(short name)} begins at byte {begin} of the data, not at {end}"))
    (setv end stop))
  (when (> end room)
    (refuse path f"is cut short: it has {room} bytes of data of {end}"))
  (when (< end room)
    (refuse path f"is damaged: {(- room end)} bytes follow its last tensor")))

(defn read-header [path file size]
  "-> {name: (dtype shape)}, {key: text}: the tensors and the metadata that the header promises."
  (setv data    (header-bytes path file size)
        entries (parse-object path data "a header")
        notes   (.pop entries "__metadata__" {}))
  (for [[name entry] (.items entries)]
    (setv problem (entry-problem entry))
    (when problem
      (refuse path f"is damaged: its tensor {(short name)} {problem}")))
  (check-places path entries (- size 8 (len data)))
  (unless (and (isinstance notes dict) (all (gfor v (.values notes) (isinstance v str))))
    (refuse path "has metadata that is not text"))
  #((dfor [name e] (.items entries) name #((get e "dtype") (tuple (get e "shape")))) notes))

(defn header [path]
  "-> {name: (dtype shape)}: the tensors in any .safetensors file, without loading one.
  dtype is one of F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL."
  (setv path        (checkpoint-path path)
        [file size] (opened path))
  (with [file file]
    (setv [entries _] (read-header path file size)))
  entries)

;; The metadata

(setv META-KINDS    {"stage" str  "config" dict  "tokenizer" dict  "step" int
                     "train" dict  "losses" dict  "data" dict}
      META-DEFAULTS {"train" {}  "losses" {}  "data" {}}
      KIND-WORDS    {str "text"  dict "an object"  int "a whole number"})

(defn meta-problem [meta]
  "What is wrong with the metadata, a dict of format 1, or None."
  (setv whole-meta {#** META-DEFAULTS  #** meta})
  (for [[key kind] (.items META-KINDS)]
    (unless (in key whole-meta)
      (return f"lacks {key !r}"))
    (unless (is (type (get whole-meta key)) kind)
      (return f"has a {key} that is not {(get KIND-WORDS kind)}")))
  (unless (whole (get meta "step"))
    (return "has a step that is negative or absurd"))
  (or (config-problem (get meta "config"))
      (tokenizer-problem (get meta "tokenizer") (.get (get meta "config") "vocab_size"))))

(defn config-problem [config]
  "What is wrong with the config's form, or None; its values beyond that are config.hy's business."
  (for [[name value] (.items config)]
    (unless (or (is value None) (in (type value) #{int float bool str}))
      (return f"has a config whose {(short name)} is a list or an object")))
  (for [name ["vocab_size" "block_size" "n_layer" "n_head" "n_embd"]]
    (unless (whole (.get config name 1) 1)
      (setv value (short (get config name)))
      (return f"has a config whose {name} is {value} instead of a whole number from 1"))))

(defn character [c]
  "Whether C is one character that utf-8 can write; half of a surrogate pair is none."
  (and (isinstance c str) (= (len c) 1) (not (<= "\ud800" c "\udfff"))))

(defn tokenizer-problem [tokenizer vocab-size]
  "What is wrong with the tokenizer, or None; of kinds other than char only that there is a kind."
  (setv kind  (.get tokenizer "kind")
        chars (.get tokenizer "chars"))
  (cond
    (not (isinstance kind str)) "has a tokenizer without a kind"
    (!= kind "char") None
    (not (and (isinstance chars #(str list)) chars (all (map character chars))))
    "has a tokenizer whose chars are no characters"
    (!= (list chars) (sorted (set chars)))
    "has a tokenizer whose chars are not in order, each one once"
    (not-in vocab-size #(None (len chars)))
    f"has a tokenizer of {(len chars)} characters and a config whose vocab_size is {vocab-size}"))

(defn sizes-problem [meta entries]
  "Where the config boasts of sizes that the file's tensors cannot have, what is wrong; or None.
  The bounds are wide, as some stages leave a size unused; check-shapes is exact. They keep a lie of
  10^9 layers from being built just to find out."
  (setv weights (lfor [name [_ shape]] (.items entries)
                      :if (.startswith name "model.")
                      (prod shape))
        widest  (max 65,536 (sum weights))
        deepest (max 1000 (len weights))
        config  (get meta "config"))
  (for [[name most] (.items {"vocab_size" widest  "block_size" widest  "n_embd" widest
                             "n_layer" deepest  "n_head" deepest})]
    (when (> (.get config name 1) most)
      (return f"claims {name} {(get config name)}, which its {(sum weights)} weights cannot be"))))

(defn check-meta [path notes entries]
  "-> dict: the checked metadata of our own kind out of the file's NOTES."
  (unless (in KEY notes)
    (refuse path "is a .safetensors file, but not one of nanogpt-hy (no nanogpt_hy metadata)"
            "`nanogpt-hy import` reads GPTs of other programs"))
  (setv meta    (parse-object path (get notes KEY) "metadata")
        version (.get meta "format"))
  (unless (whole version 1)
    (refuse path "has metadata without the number of its format"))
  (when (> version FORMAT)
    (refuse path f"is of format {version}, this nanogpt-hy knows formats up to {FORMAT}"
            "update nanogpt-hy"))
  (when (!= (.get meta "digest") (digest meta entries))
    (refuse path "is damaged: its header does not match its own digest"))
  (setv problem (or (meta-problem meta) (sizes-problem meta entries)))
  (when problem
    (refuse path f"has metadata that {problem}"))
  {#** META-DEFAULTS  #** meta})

(defn read-meta [path]
  "-> dict: the metadata of the checkpoint PATH, a file or a run's folder. No weight is loaded."
  (setv path        (checkpoint-path path)
        [file size] (opened path))
  (with [file file]
    (setv [entries notes] (read-header path file size)))
  (check-meta path notes entries))

;; The tensors

(defn load-checkpoint [path * [device "cpu"]]
  "-> {name: tensor}, dict: tensors and metadata of the checkpoint PATH, a file or a run's folder.
  Weights come to DEVICE. All else stays on the CPU: generators want their state from there, and an
  optimizer brings its own to where it belongs."
  (setv path        (checkpoint-path path)
        [file size] (opened path))
  ;; Header and data come through one open file: a run may put a newer one in its place meanwhile.
  (with [file file]
    (setv [entries notes] (read-header path file size)
          meta            (check-meta path notes entries))
    (.seek file 0)
    (setv data (.read file size)))
  (try (setv tensors (safetensors.load data))
    (except [e Exception]               ; the library's second opinion on a header that passed ours
      (refuse path f"cannot be read ({(short e)})")))
  (for [[name tensor] (.items tensors)]
    (unless (.item (.all (.isfinite tensor)))
      (refuse path f"holds numbers that are not finite, in {(short name)}")))
  #((dfor [name t] (.items tensors) name (if (.startswith name "model.") (.to t device) t)) meta))

(defn first-few [problems]
  "[text] -> text: at most three of them, and how many more there are."
  (setv problems (iter problems)
        named    (list (islice problems 3))
        more     (sum (gfor _ problems 1)))
  (+ (.join "; " named) (if more f"; and {more} more" "")))

(defn check-shapes [model-shapes tensor-shapes [what "the checkpoint"]]
  "Hold {name: shape} of a file against the model's.
  RequestError names what is missing, unexpected or of another shape."
  (setv wanted   (dfor [name s] (.items model-shapes) name (list s))
        found    (dfor [name s] (.items tensor-shapes) name (list s))
        problems (chain
          (gfor name wanted :if (not-in name found) f"{(short name)} is missing")
          (gfor name found :if (not-in name wanted) f"{(short name)} is unexpected")
          (gfor [name shape] (.items wanted)
                :if (!= (.get found name shape) shape)
                f"{(short name)} has the shape {(get found name)} instead of {shape}"))
        text     (first-few problems))
  (when text
    (refuse what f"does not fit the model: {text}")))

(defn model-shapes [model]
  "-> {name: shape} of a model's weights."
  (dfor [name t] (.items (.state-dict model)) name (tuple t.shape)))

(defn model-part [tensors]
  "{name: tensor} -> the `model.…` ones, under the names that the model gives them."
  (dfor [name t] (.items tensors)
        :if (.startswith name "model.")
        (.removeprefix name "model.") t))

(defn load-weights [model tensors]
  "Copy the `model.…` of TENSORS into MODEL, all of them and no others.
  Device and precision stay the model's, and its parameters stay the same objects: an optimizer that
  holds them goes on holding them."
  (setv weights (model-part tensors)
        own     (.state-dict model))
  (check-shapes (model-shapes model) (dfor [name t] (.items weights) name t.shape))
  (for [[name t] (.items weights)]
    (when (!= (.is-floating-point t) (.is-floating-point (get own name)))
      (setv kinds f"{t.dtype} instead of {(. (get own name) dtype)}")
      (refuse "the checkpoint" f"does not fit the model: {(short name)} is of the kind {kinds}")))
  (.load-state-dict model weights)
  model)

(defn restore-model [make tensors * [device "cpu"]]
  "-> model: what (MAKE) builds, with the `model.…` of TENSORS as its weights, on DEVICE.
  It is built first on torch's meta device, where sizes cost no memory, and compared with the file."
  (with [(torch.device "meta")]
    (setv wanted (model-shapes (make))))
  (check-shapes wanted (dfor [name t] (.items (model-part tensors)) name t.shape))
  (load-weights (.to (make) device) tensors))
